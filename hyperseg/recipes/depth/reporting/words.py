"""The table of guidance in words: its lines, what it says in sentences, and as a document."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hyperseg.core.words import UNKNOWN, as_cell, counted, number
from hyperseg.recipes.depth.scores.table import FEWEST, MEASURES, MOSTLY, Against, DepthCell, Measure, beside_control
from hyperseg.recipes.depth.settings import ALL, CONTROL, NONE


def sentences(found: Mapping[str, Mapping[str, Against]], cells: Iterable[DepthCell]) -> list[str]:
    """What the table says, row by row; a tie and a loss are said as such."""
    told, cells = [], list(cells)
    for row, by in found.items():
        if row == NONE:
            continue
        for measure in MEASURES:
            if measure.floored and by[measure.key].difference is not None:
                told.append(_sentence(row, measure, by[measure.key]))
        plain = found.get(NONE)
        if plain is not None and plain["seconds"].mean > 0:
            ratio = by["seconds"].mean / plain["seconds"].mean
            told.append(f"{row}: a sample takes {ratio:.2f} times as long as without guidance.")
    for key, one in beside_control(cells).items():
        measure = next(m for m in MEASURES if m.key == key)
        if measure.floored and one.difference is not None:
            told.append(_beside_control(measure, one))
    told += [f"{cell.row}, seed {cell.seed}: no numbers. {cell.note}" for cell in cells if cell.note]
    return told


def _sentence(row: str, measure: Measure, one: Against) -> str:
    verdict = {
        "better": f"better than {NONE}", "worse": f"a loss: worse than {NONE}", "tie": f"a tie with {NONE}",
        "open": f"too few seeds to tell it from {NONE}",
    }[one.verdict]  # fmt: skip
    counts = f"lower in {one.better} and higher in {one.worse} of {counted(one.seeds, 'seed')}"
    share = "" if one.share is None else f"; {_share(one.share)}"
    difference = f"mean difference {_signed(one.difference, measure.digits)}"
    test = f"sign test p = {number(one.p_value, 3)}"
    return f"{row}, {measure.head}: {verdict} ({counts}, {difference}, {test}){share}."


def _beside_control(measure: Measure, one: Against) -> str:
    """Whether it matters that it is the picture's own depth that guides."""
    meaning = {
        "better": "it matters that a picture's own depth guides it",
        "tie": "that a picture's own depth guides it has not been shown to matter",
        "worse": "the depth of another picture guides it better than its own",
        "open": "too few seeds to tell whether a picture's own depth matters",
    }[one.verdict]
    return (
        f"{ALL} beside {CONTROL}, {measure.head}: lower in {one.better} and higher in {one.worse} of "
        f"{counted(one.seeds, 'seed')}, mean difference {_signed(one.difference, measure.digits)}: {meaning}."
    )


def _share(share: float) -> str:
    """How much of the way from unguided samples to real pictures is gone."""
    where = "closes" if share >= 0 else "widens"
    return f"{where} the gap to real pictures by {abs(100 * share):.0f} %"


def heads() -> tuple[str, ...]:
    """Names of the columns."""
    return ("guidance", *(f"{m.head} {m.better}".rstrip() for m in MEASURES), "time", "shift")


def legend(rule: str = "") -> tuple[str, ...]:
    """What the columns say."""
    return (
        *(f"{m.head}: {m.told}" for m in MEASURES),
        *marks(),
        f"{CONTROL}: as {ALL}, but each picture follows the gradient of another one.",
        *([rule] if rule else []),
    )


def marks() -> tuple[str, ...]:
    """What the table cannot be read without: its last columns, and its rows of differences."""
    return (
        "time: seconds per sample beside those without guidance. shift: median and largest length of the guidance's "
        "shift of a step beside the sampler's own step.",
        f"Below each guided row its difference to {NONE} from the same starting noise, and seeds that are better / "
        f"worse; a row is called better or worse where {100 * MOSTLY:.0f} % of {FEWEST} or more seeds are, and a tie "
        "otherwise.",
    )


def lines(
    found: Mapping[str, Mapping[str, Against]], cells: Sequence[DepthCell], floors: Mapping[str, Sequence[float]]
) -> list[tuple[str, ...]]:  # fmt: skip
    """The table in words: a line for each row, one for its differences, and the floor last."""
    told: list[tuple[str, ...]] = []
    plain = found.get(NONE)
    for row, by in found.items():
        own = [cell for cell in cells if cell.row == row and cell.numbers]
        time = UNKNOWN if plain is None else f"{by['seconds'].mean / max(plain['seconds'].mean, 1e-12):.2f}"
        told.append((row, *(_spread(by[m.key].mean, by[m.key].sd, m.digits) for m in MEASURES), time, _shift(own)))
        if row != NONE and any(by[m.key].difference is not None for m in MEASURES):
            told.append((f"{row} - {NONE}", *(_difference(by[m.key], m) for m in MEASURES), "", ""))
    floor = [
        _spread(float(np.mean(floors[m.key])), _sd(floors[m.key]), m.digits) if floors.get(m.key) else ""
        for m in MEASURES
    ]
    told.append(("real pictures", *floor, "", ""))
    return told


def as_markdown(rows: Sequence[Sequence[str]], below: Iterable[str]) -> str:
    """The table for a document, and sentences below it."""

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"

    out = [line(heads()), "|---" + "|---:" * (len(heads()) - 1) + "|", *map(line, rows)]
    return "\n".join([*out, "", *(f"- {sentence}" for sentence in below)]) + "\n"


def as_csv(cells: Iterable[DepthCell], floors: Mapping[str, Sequence[float]]) -> str:
    """Every cell, and the floor of every seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [m.key for m in MEASURES]
    writer.writerow(["guidance", "seed", "n", *keys, "shift_median", "shift_most", "note"])
    for c in cells:
        numbers = [_plain(c.numbers.get(key)) for key in keys]
        writer.writerow([c.row, c.seed, c.n, *numbers, _plain(c.ratio), _plain(c.most), as_cell(c.note)])
    for k in range(max(map(len, floors.values()), default=0)):
        writer.writerow(
            ["real", k, "", *(_plain(floors[key][k] if floors.get(key) else None) for key in keys), "", "", ""]
        )
    return text.getvalue()


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.6g}"


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _spread(mean: float, sd: float, digits: int) -> str:
    return number(mean, digits) if math.isnan(sd) else f"{number(mean, digits)} ± {number(sd, digits)}"


def _signed(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:+.{digits}f}"


def _difference(one: Against, measure: Measure) -> str:
    counts = f" ({one.better}/{one.worse})" if measure.better else ""
    return f"{_signed(one.difference, measure.digits)}{counts}"


def _shift(cells: Sequence[DepthCell]) -> str:
    ratios = [(c.ratio, c.most) for c in cells if c.ratio is not None and c.most is not None]
    if not ratios:
        return ""
    middle, most = float(np.median([r for r, _ in ratios])), max(m for _, m in ratios)
    return f"{middle:.2g}, {most:.2g}"
