"""The rows of the table: means over cells, differences to the reference paired by cell, and the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from hyperseg.metrics.gains import Gain, corrected_t_test
from hyperseg.recipes.bench.zoo.rows import Cell, Row
from hyperseg.report.generation import front as lowest

Cells = Mapping[tuple[str, int, int], Cell]


@dataclass(frozen=True)
class Judged:
    """A row and what its cells say; numbers that no cell has are None.

    Attributes:
        row: which.
        cells: with a score.
        score, sd: mean and standard deviation over cells; sd of a single one is None.
        gain: paired differences to the reference; None of the reference itself and for fewer than two pairs.
        difference: their mean, of a single pair too.
        scores: means of all that was measured.
        parameters, madds, peak: see `Cell`; the most of all cells.
        step_s: seconds of a training step; None of baselines.
        training_s: of a whole training.
        test_s: seconds of an image, or of a scene's map.
        fronts: costs ("madds", "test_s") at which no network of no more cost is better.
        note: why cells failed.
    """

    row: Row
    cells: int
    score: float | None
    sd: float | None
    gain: Gain | None
    difference: float | None
    scores: Mapping[str, float]
    parameters: int | None
    madds: int | None
    peak: int | None
    step_s: float | None
    training_s: float
    test_s: float
    fronts: tuple[str, ...] = ()
    note: str = ""


def judge(rows: Sequence[Row], cells: Cells, *, reference: str, on_scene: bool) -> tuple[Judged, ...]:
    """Every row that has cells, the best score first, those without a score last.

    Args:
        rows: of the table.
        cells: by (row, fold, seed).
        reference: key of the row that others are compared with.
        on_scene: splits do not share what is learnt from in a known proportion; folds do, see `corrected_t_test`.
    """
    of = {row.key: [cell for at, cell in sorted(cells.items()) if at[0] == row.key] for row in rows}
    plain = {cell.at[1:]: cell for cell in of.get(reference, ()) if cell.score is not None}
    ratio = 0.0 if on_scene or not plain else fmean(cell.tested / max(cell.learnt, 1) for cell in plain.values())
    found = [
        _judged(row, of[row.key], {} if row.key == reference else plain, ratio, on_scene=on_scene)
        for row in rows if of[row.key]
    ]  # fmt: skip
    found.sort(key=lambda one: (one.score is None, -(one.score or 0.0), one.row.key))
    return with_fronts(found)


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, score) those that no other beats at no more cost: by rising cost, rising score."""
    return [(cost, -worse) for cost, worse in lowest([(cost, -score) for cost, score in points])]


def with_fronts(rows: Sequence[Judged]) -> tuple[Judged, ...]:
    """Rows with the costs at which they are on the front of all networks and peers."""
    on: dict[str, set[str]] = {}
    for name, cost in COSTS.items():
        points = {row.row.key: point for row in rows if (point := point_of(row, cost)) is not None}
        best = set(front(points.values()))
        on[name] = {key for key, point in points.items() if point in best}
    return tuple(
        replace(row, fronts=tuple(name for name in COSTS if row.row.key in on[name])) for row in rows
    )  # fmt: skip


def point_of(row: Judged, cost: Callable[[Judged], float | None]) -> tuple[float, float] | None:
    """(cost, score) of a network or a peer; None of a baseline and where either is not known."""
    value = cost(row)
    return None if row.row.kind == "baseline" or row.score is None or not value else (float(value), row.score)


COSTS: dict[str, Callable[[Judged], float | None]] = {"madds": lambda row: row.madds, "test_s": lambda row: row.test_s}


def _judged(
    row: Row, cells: Sequence[Cell], plain: Mapping[tuple[int, int], Cell], ratio: float, *, on_scene: bool
) -> Judged:
    good = [cell for cell in cells if not cell.note]
    told = [cell for cell in good if cell.score is not None]
    scores = [float(cell.score) for cell in told if cell.score is not None]
    pairs = [
        cell.score - other.score for cell in told
        if (other := plain.get(cell.at[1:])) and cell.score is not None and other.score is not None
    ]  # fmt: skip
    names = dict.fromkeys(name for cell in told for name in cell.scores)
    steps = [cell.training_s / cell.steps for cell in good if cell.steps]
    return Judged(
        row, len(told), fmean(scores) if scores else None, stdev(scores) if len(scores) > 1 else None,
        corrected_t_test(pairs, ratio=ratio) if len(pairs) > 1 else None, fmean(pairs) if pairs else None,
        {name: _mean(cell.scores.get(name) for cell in told) for name in names},
        _most(cell.parameters for cell in good), _most(cell.madds for cell in good), _most(cell.peak for cell in good),
        fmean(steps) if steps else None, _mean(cell.training_s for cell in good),
        _mean(cell.prediction_s / (1 if on_scene else max(cell.tested, 1)) for cell in good),
        note="; ".join(dict.fromkeys(cell.note for cell in cells if cell.note)),
    )  # fmt: skip


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Iterable[float | None]) -> float:
    there = [value for value in values if value is not None]
    return fmean(there) if there else math.nan
