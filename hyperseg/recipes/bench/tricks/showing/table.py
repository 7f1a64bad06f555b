"""The verdict in sentences, and the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hyperseg.core.words import UNKNOWN, as_cell, counted, listed, number
from hyperseg.recipes.bench.tricks.judging import Judged, Result
from hyperseg.recipes.bench.tricks.rows import COMBINED

WORDS = {
    "baseline": "", "helps": "helps", "harms": "harms", "noise": "not told apart from noise",
    "same": "changes nothing here", "together": COMBINED,
}  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """What rows are compared by.

    Attributes:
        name: "Dice", "OA".
        digits: that are shown.
        unit: behind a number, or "".
        cell: what a cell is, in words.
    """

    name: str
    digits: int
    unit: str
    cell: str

    def told(self, value: float) -> str:
        """A difference in words."""
        return f"{value:+.{self.digits}f}{self.unit}"


OF_CASES = Measure("Dice", 3, "", "fold and seed")
OF_SCENE = Measure("OA", 2, " points", "split")


def verdicts(result: Result, measure: Measure) -> list[str]:
    """What the benchmark says, the most important first."""
    helps, harms, quiet, same = (result.of(verdict) for verdict in ("helps", "harms", "noise", "same"))
    told = []
    if helps:
        told.append(f"Helps: {_with_gains(helps, measure)}.")
    elif harms or quiet or same:
        told.append("No trick is shown to help: no gain is above the noise line with a p below 0.05.")
    if harms:
        told.append(f"Harms: {_with_gains(harms, measure)}.")
    if quiet:
        told.append(f"Not told apart from noise, by the alphabet and not ranked: {listed(r.row.key for r in quiet)}.")
    if same:
        told.append(f"Changes nothing here: {listed(r.row.key for r in same)}. Every cell has the baseline's score.")
    told += [_together(row, measure) for row in result.of("together")]
    if len(helps) == 1:
        told.append("One trick alone helps: there is nothing to put together.")
    elif helps and not result.of("together"):
        told.append("All that helps are ways to do the same thing: there is nothing to put together.")
    line = number(result.noise.line(result.cells), measure.digits)
    told.append(
        f"Noise line: {line}{measure.unit}. With other seeds alone the mean of {counted(result.cells, 'cell')} of the "
        f"baseline moves by less than that 95 times of 100; a single one ({measure.cell}) by "
        f"{number(result.noise.sd, measure.digits)} (standard deviation of a difference, "
        f"{counted(result.noise.pairs, 'pair')} of seeds)."
    )
    return told


def _with_gains(rows: Sequence[Judged], measure: Measure) -> str:
    return listed(f"{row.row.key} ({measure.told(row.gain.mean)})" for row in rows if row.gain is not None)


def _together(row: Judged, measure: Measure) -> str:
    if row.gain is None:
        return f"All that helped together ({row.row.key}): too few cells."
    beyond = row.line is not None and abs(row.gain.mean) > row.line
    return (
        f"All that helped together ({row.row.key}): {measure.told(row.gain.mean)}, "
        f"{'above' if beyond else 'within'} the noise line. The tricks were chosen by the same cells, so that this "
        "gain flatters them."
    )


def heads(measure: Measure) -> tuple[str, ...]:
    """Names of the columns."""
    return ("trick", measure.name, "gain", "± 95 %", "p (Holm)", "train s", "predict s")


def cells(row: Judged, measure: Measure) -> tuple[str, ...]:
    """A row in words."""
    gain, digits = row.gain, measure.digits
    return (
        name_of(row), number(row.score, digits), UNKNOWN if gain is None else f"{gain.mean:+.{digits}f}",
        UNKNOWN if gain is None else number(gain.half, digits), p_told(row.p), number(row.training_s, 1),
        number(row.prediction_s, 1),
    )  # fmt: skip


def name_of(row: Judged) -> str:
    """In the table: what is long there has its parts in the sentences."""
    return COMBINED if row.verdict == "together" else row.row.key


def p_told(p: float | None) -> str:
    """A probability; what is too small for three digits is not called zero."""
    return UNKNOWN if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"


def groups(result: Result) -> list[tuple[str, list[Judged]]]:
    """Rows with the same verdict, in the table's order."""
    found: dict[str, list[Judged]] = {}
    for row in result.rows:
        found.setdefault(WORDS[row.verdict], []).append(row)
    return list(found.items())


def legend(measure: Measure, *, shared: bool) -> list[str]:
    """What the columns say."""
    test = (
        "corrected for folds that share what they learn from (Nadeau & Bengio 2003)" if shared
        else "splits taken as independent, though they share pixels: the p-values are somewhat too small"
    )  # fmt: skip
    return [
        f"gain: mean difference of {measure.name} to the baseline, paired by {measure.cell}; ±: its 95 % interval; "
        f"p: two-sided paired t-test, {test}, then Holm's correction over all tricks.",
        "A trick helps or harms where its gain exceeds the noise line and p is below 0.05; all others are not ranked.",
        "Seconds are means of a cell; a trick that trains nothing has the baseline's networks, and their seconds.",
    ]


def as_markdown(result: Result, measure: Measure, *, shared: bool) -> str:
    """The table for a document, what it says above and below."""
    names = heads(measure)
    lines = [*(f"- {sentence}" for sentence in verdicts(result, measure)), ""]
    lines += ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    for title, rows in groups(result):
        if title and rows[0].verdict != "together":
            lines.append(f"| **{title}**" + " | " * (len(names) - 1) + " |")
        lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in cells(row, measure)) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in legend(measure, shared=shared))]) + "\n"


COLUMNS = (
    "trick", "phase", "verdict", "cells", "score", "gain", "gain_sd", "gain_half_95", "p_holm", "noise_line",
)  # fmt: skip


def as_csv(result: Result) -> str:
    """Every row with all that was measured, seconds last."""
    names = list(dict.fromkeys(name for row in result.rows for name in row.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *map(as_cell, names), "training_s", "prediction_s"])
    for row in result.rows:
        gain = row.gain
        values = (row.score, *((None,) * 3 if gain is None else (gain.mean, gain.sd, gain.half)), row.p, row.line,
                  *(row.scores.get(name) for name in names))  # fmt: skip
        head = (as_cell(row.row.key), row.row.phase, WORDS[row.verdict], "" if gain is None else str(gain.n))
        writer.writerow([*head, *map(_plain, values), f"{row.training_s:.3f}", f"{row.prediction_s:.3f}"])
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"
