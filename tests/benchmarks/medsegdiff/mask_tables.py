"""Markdown tables from the lines of bench_medsegdiff.py: mean and spread over seeds, and differences seed by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from mask_rows import FULL, ROWS, TWIN
from mask_sets import SETS

Line = dict[str, Any]
COLUMNS = {  # heading -> score, digits
    "Dice": ("dice", 1), "IoU": ("iou", 1), "micro Dice": ("micro", 1), "one mask": ("single", 1),
    "HD95, px": ("hd95", 1), "ECE": ("ece", 2), "ECE near": ("ece_near", 1), "Brier": ("brier", 2),
    "doubt": ("doubt", 1), "doubt, first call": ("doubt_first", 1),
    "disagreement": ("disagreement", 1), "GED²": ("ged", 1), "diversity": ("diversity", 1),
}  # fmt: skip
EVEN = "same, times even"
PAIRS = (
    (FULL, TWIN),
    (EVEN, TWIN),
    (FULL, EVEN),
    (FULL, "+ dynamic"),
    ("+ dynamic", "vanilla"),
    (FULL, "same, skips of the mask alone"),
)
PAIRED = {"Dice": "dice", "micro": "micro", "ECE near": "ece_near", "Brier": "brier", "doubt": "doubt", "GED²": "ged"}


def tables(lines: Sequence[Line]) -> str:
    """All that there is to say of them."""
    found = []
    for name in SETS:
        for change in sorted({str(line["change"]) for line in lines if line["set"] == name}):
            some = [line for line in lines if line["set"] == name and str(line["change"]) == change]
            choosing = f", {change}" if change != "{}" else ""
            found.append(f"### {SETS[name].told}{choosing}\n\n{_main(some)}\n\n{_paired(some)}")
            found += [table for table in (_calls(some), _samples(some), _rules(some), _paper(some)) if table]
    return "\n\n".join(found)


def _main(lines: Sequence[Line]) -> str:
    rows = []
    for row, some in _by_row(lines):
        scores = [line["scores"] for line in some]
        cost = [f"{scores[0]['calls']}", spread([one["seconds"] for one in scores], 2)]
        trained = [spread([line["train_s"] for line in some], 0), f"{some[0]['parameters'] / 1e3:.0f} k"]
        rows.append([row, str(len(some)), *_cells(scores), *cost, *trained])
        if row == FULL:
            votes = [one["votes"] for one in scores]
            rows.append(["the same, votes of last calls", str(len(some)), *_cells(votes), *cost, *trained])
    return _table(["row", "seeds", *COLUMNS, "calls", "s an image", "s of training", "weights"], rows)


def _cells(scores: Sequence[dict[str, Any]]) -> list[str]:
    return [spread([one.get(of) for one in scores], digits) for of, digits in COLUMNS.values()]


def _paired(lines: Sequence[Line]) -> str:
    at = {(line["row"], line["seed"]): line["scores"] for line in lines}
    rows = []
    for a, b in PAIRS:
        seeds = sorted({seed for row, seed in at if row == a} & {seed for row, seed in at if row == b})
        if not seeds:
            continue
        cells = []
        for of in PAIRED.values():
            differences = [(at[a, s].get(of), at[b, s].get(of)) for s in seeds]
            cells.append(", ".join(f"{x - y:+.2f}" for x, y in differences if x is not None and y is not None))
        rows.append([f"{a} less {b}", *cells])
    return _table(["seed by seed", *PAIRED], rows)


def _calls(lines: Sequence[Line]) -> str:
    rows = []
    for line, sampler in _each(lines, "by_calls"):
        by = line["compared"]["by_calls"][sampler]
        rows.append((line["row"], sampler, by))
    calls = list(dict.fromkeys(n for *_, by in rows for n in by))
    told = []
    for (row, sampler), some in _grouped(rows):
        for what, digits in (
            ("dice", 1),
            ("steps", 1),
            ("single", 1),
            ("diversity", 1),
            ("ece_near", 1),
            ("seconds", 2),
        ):
            told.append([row, sampler, what, *(spread([by[n][what] for by in some], digits) for n in calls)])
    return _table(["row", "sampler", "calls of a mask", *calls], told)


def _samples(lines: Sequence[Line]) -> str:
    return _inner(lines, "by_samples", ("dice", "ece_near", "brier", "doubt"), "masks")


def _rules(lines: Sequence[Line]) -> str:
    return _inner(lines, "rules", ("dice", "micro", "iou", "hd95"), "fusion")


def _paper(lines: Sequence[Line]) -> str:
    return _inner(lines, "paper", ("dice", "steps", "staple", "calls", "seconds"), "way")


def _inner(lines: Sequence[Line], part: str, scores: Sequence[str], what: str) -> str:
    rows = [(line["row"], name, line["compared"][part][name]) for line, name in _each(lines, part)]
    told = [
        [row, name, *(spread([found[of] for found in some], 2) for of in scores)]
        for (row, name), some in _grouped(rows)
    ]  # fmt: skip
    return _table(["row", what, *scores], told)


def _each(lines: Sequence[Line], part: str) -> Iterable[tuple[Line, str]]:
    return ((line, name) for line in lines for name in line.get("compared", {}).get(part, ()))


def _grouped(rows: Iterable[tuple[str, str, Any]]) -> list[tuple[tuple[str, str], list[Any]]]:
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row, name, value in rows:
        found[row, name].append(value)
    return list(found.items())


def _by_row(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    found = [(row, [line for line in lines if line["row"] == row]) for row in ROWS]
    return [(row, some) for row, some in found if some]


def spread(values: Iterable[float | None], digits: int) -> str:
    """Mean ± standard deviation over seeds; a dash where there is none."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return "–"
    apart = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{apart}"


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    bar: Callable[[Sequence[str]], str] = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return "\n".join([bar(heading), "|" + "---|" * len(heading), *map(bar, rows)])
