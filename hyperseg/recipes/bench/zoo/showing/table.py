"""What the benchmark says in sentences, and the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hyperseg.core.words import UNKNOWN, as_cell, counted, listed, number
from hyperseg.recipes.bench.zoo.choosing import LINEAR
from hyperseg.recipes.bench.zoo.judging import Judged
from hyperseg.recipes.bench.zoo.making.counting import HOW


@dataclass(frozen=True)
class Measure:
    """What rows are compared by.

    Attributes:
        name: "Dice", "OA".
        digits: that are shown.
        unit: behind a difference, or "".
        cell: what a cell is, in words.
        tested: what `Judged.test_s` are seconds of.
    """

    name: str
    digits: int
    unit: str
    cell: str
    tested: str

    def told(self, value: float) -> str:
        """A difference in words."""
        return f"{value:+.{self.digits}f}{self.unit}"


OF_CASES = Measure("Dice", 3, "", "fold and seed", "image")
OF_SCENE = Measure("OA", 2, " points", "split", "map")


def verdicts(rows: Sequence[Judged], measure: Measure, reference: str) -> list[str]:
    """What the benchmark says, the most important first."""
    told, networks = [], [row for row in rows if row.row.kind != "baseline" and row.score is not None]
    by_key = {row.row.key: row for row in rows}
    if networks:
        best = networks[0]
        told.append(f"Best network: {best.row.key}, {measure.name} {number(best.score, measure.digits)}.")
    linear = by_key.get(LINEAR)
    if networks and linear is not None and linear.score is not None:
        below = [row.row.key for row in networks if (row.score or 0) <= linear.score]
        floor = f"the per-pixel linear classifier ({number(linear.score, measure.digits)})"
        told.append(
            f"Not better than {floor}: {listed(below)}."
            if below
            else f"All of {len(networks)} are better than {floor}."
        )
    for cost, words in (("madds", "multiply-adds"), ("test_s", f"seconds per {measure.tested}")):
        front = sorted((row for row in networks if cost in row.fronts), key=lambda row: row.score or 0)
        if front:
            told.append(f"None better at no more {words}: {listed(row.row.key for row in front)}.")
    other = [row for row in networks if row.gain is not None]
    apart = [row for row in other if row.gain is not None and abs(row.gain.mean) > row.gain.half]
    if other:
        told.append(
            f"Of {counted(len(other), 'network')} {len(apart)} differ from {reference} by more than the half width of "
            "their own 95 % interval, without a correction for so many comparisons."
        )
    if faults := [row for row in rows if row.note]:
        told.append("Failed: " + "; ".join(f"{row.row.key} ({row.note})" for row in faults) + ".")
    return told


def heads(measure: Measure) -> tuple[str, ...]:
    """Names of the columns."""
    return (
        "network", measure.name, "± sd", "diff", "± 95 %", "param", "madds", "s/step", f"s/{measure.tested}", "MB",
    )  # fmt: skip


def cells(row: Judged, measure: Measure) -> tuple[str, ...]:
    """A row in words."""
    gain, digits = row.gain, measure.digits
    return (
        row.row.key + (" *" if row.fronts else ""), number(row.score, digits), number(row.sd, digits),
        UNKNOWN if row.difference is None else f"{row.difference:+.{digits}f}",
        UNKNOWN if gain is None else number(gain.half, digits), short(row.parameters), short(row.madds),
        seconds(row.step_s), seconds(row.test_s), UNKNOWN if row.peak is None else f"{row.peak / 1e6:.0f}",
    )  # fmt: skip


def short(count: int | None) -> str:
    """A large count with three digits: "1.23 M"."""
    if count is None:
        return UNKNOWN
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {letter}"
    return str(count)


def seconds(value: float | None) -> str:
    """Seconds with two digits that count."""
    if value is None or value != value:
        return UNKNOWN
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def legend(measure: Measure, reference: str) -> list[str]:
    """What the columns say."""
    return [
        f"± sd: standard deviation over cells ({measure.cell}); diff: mean difference of {measure.name} to "
        f"{reference}, paired by cell, with its 95 % interval; *: on a front, no network of no more cost is better.",
        HOW,
        f"s/step: seconds of a training step; s/{measure.tested}: of a whole prediction; MB: the most memory of a cell "
        "beside what its process held before. Every process works on one thread; time in which other work had the "
        "processor is not counted.",
    ]


def as_markdown(rows: Sequence[Judged], measure: Measure, reference: str) -> str:
    """The table for a document, what it says above and below."""
    names = heads(measure)
    lines = [*(f"- {sentence}" for sentence in verdicts(rows, measure, reference)), ""]
    lines += ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells(row, measure)) + " |")
    return "\n".join([*lines, "", *(f"- {sentence}" for sentence in legend(measure, reference))]) + "\n"


COLUMNS = (
    "network", "kind", "family", "cells", "score", "sd", "difference", "difference_half_95", "p", "parameters",
    "multiply_adds", "step_s", "training_s", "test_s", "peak_bytes", "fronts",
)  # fmt: skip


def as_csv(rows: Sequence[Judged]) -> str:
    """Every row with all that was measured."""
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *map(as_cell, names), "note"])
    for row in rows:
        gain = row.gain
        values = (
            row.score, row.sd, row.difference, None if gain is None else gain.half, None if gain is None else gain.p,
            row.parameters, row.madds, row.step_s, row.training_s, row.test_s, row.peak,
        )  # fmt: skip
        head = (as_cell(row.row.key), row.row.kind, row.row.family, str(row.cells))
        tail = [*(_plain(row.scores.get(name)) for name in names), as_cell(row.note)]
        writer.writerow([*head, *map(_plain, values), " ".join(row.fronts), *tail])
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None or value != value else str(value) if isinstance(value, int) else f"{value:.6g}"
