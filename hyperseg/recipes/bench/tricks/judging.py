"""Which gains exceed the noise: rows compared with the baseline cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from hyperseg.metrics.gains import LEVEL, Gain, Noise, corrected_t_test, holm, noise_of
from hyperseg.recipes.bench.tricks.rows import PLAIN, Cell, Row

Verdict = Literal["baseline", "helps", "harms", "noise", "same", "together"]
Cells = Mapping[str, Mapping[tuple[int, int], Cell]]
"""By row and by (fold, seed)."""


@dataclass(frozen=True)
class Judged:
    """A row and what its cells say.

    Attributes:
        row: which.
        verdict: "helps" and "harms": the mean difference to the baseline exceeds the noise line, and its corrected p is
            below 0.05; "noise": one of both is not so; "same": every cell has the score of the baseline; "together":
            all that helped, chosen by the same cells.
        score: mean of the cells.
        gain: paired differences to the baseline; None of the baseline itself and of rows with fewer than two pairs.
        p: of the gain, by Holm's correction over all single tricks; of "together" as it is.
        line: the noise of a mean over as many cells.
        scores: means of all that was measured.
        training_s, prediction_s: mean seconds of a cell.
    """

    row: Row
    verdict: Verdict
    score: float
    gain: Gain | None
    p: float | None
    line: float | None
    scores: Mapping[str, float]
    training_s: float
    prediction_s: float


@dataclass(frozen=True)
class Result:
    """All rows as the table has them.

    Attributes:
        rows: baseline; what helps, the best first; what harms, the worst last; what is not told apart from noise, by
            the alphabet; what changes nothing, by the alphabet; all that helped.
        noise: of the baseline.
        cells: of a row's mean.
    """

    rows: tuple[Judged, ...]
    noise: Noise
    cells: int

    def of(self, verdict: Verdict) -> tuple[Judged, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)


def by_row(cells: Iterable[Cell]) -> dict[str, dict[tuple[int, int], Cell]]:
    """Cells with a score, by row and by (fold, seed)."""
    found: dict[str, dict[tuple[int, int], Cell]] = {}
    for cell in cells:
        if cell.score is not None:
            found.setdefault(cell.row, {})[cell.fold, cell.seed] = cell
    return found


def judge(rows: Sequence[Row], together: Row | None, cells: Cells, *, shared: bool) -> Result:
    """Compare every row with the baseline.

    Args:
        rows: single tricks.
        together: all that helped, or None.
        cells: of `by_row`.
        shared: folds share what is learnt from, see `corrected_t_test`.

    Raises:
        SettingError: too few cells to say anything.
    """
    plain = cells.get(PLAIN.key, {})
    folds: dict[int, list[float]] = {}
    for (fold, _), cell in sorted(plain.items()):
        folds.setdefault(fold, []).append(_score(cell))
    noise = noise_of(list(folds.values()))
    ratio = fmean(cell.tested / cell.learnt for cell in plain.values()) if shared else 0.0
    gains = {row.key: _gain(cells.get(row.key, {}), plain, ratio) for row in (*rows, *([together] if together else []))}
    tested = [row for row in rows if gains[row.key] is not None]
    corrected = dict(zip((row.key for row in tested), holm([_p(gains[row.key]) for row in tested]), strict=True))

    def judged(row: Row, verdict: Verdict | None = None) -> Judged:
        gain = gains.get(row.key)
        p = None if gain is None else float(corrected.get(row.key, gain.p))
        line = None if gain is None else noise.line(gain.n)
        return _judged(row, verdict or _verdict(gain, p, line), gain, p, line, cells.get(row.key, {}))

    found = [judged(row) for row in rows if cells.get(row.key)]
    compared = {at: cell for at, cell in plain.items() if any(at in cells.get(row.key, {}) for row in rows)} or plain
    first = _judged(PLAIN, "baseline", None, None, None, compared)  # without cells that only measure the noise
    told = sorted(
        (row for row in found if row.verdict in ("helps", "harms")), key=lambda row: (-_mean(row), row.row.key)
    )
    by_key = sorted(found, key=lambda row: row.row.key)
    quiet = [row for verdict in ("noise", "same") for row in by_key if row.verdict == verdict]
    last = [judged(together, "together")] if together is not None and cells.get(together.key) else []
    return Result((first, *told, *quiet, *last), noise, len(compared))


def _gain(mine: Mapping[tuple[int, int], Cell], plain: Mapping[tuple[int, int], Cell], ratio: float) -> Gain | None:
    both = sorted(set(mine) & set(plain))
    if len(both) < 2:
        return None
    return corrected_t_test([_score(mine[at]) - _score(plain[at]) for at in both], ratio=ratio)


def _verdict(gain: Gain | None, p: float | None, line: float | None) -> Verdict:
    if gain is not None and gain.mean == gain.sd == 0:
        return "same"
    if gain is None or p is None or line is None or not abs(gain.mean) > line or not p < LEVEL:
        return "noise"
    return "helps" if gain.mean > 0 else "harms"


def _judged(
    row: Row, verdict: Verdict, gain: Gain | None, p: float | None, line: float | None,
    cells: Mapping[tuple[int, int], Cell],
) -> Judged:  # fmt: skip
    names = dict.fromkeys(name for cell in cells.values() for name in cell.scores)
    means = {name: _mean_of(cell.scores.get(name) for cell in cells.values()) for name in names}
    return Judged(
        row, verdict, fmean(map(_score, cells.values())), gain, p, line, means,
        fmean(cell.training_s for cell in cells.values()), fmean(cell.prediction_s for cell in cells.values()),
    )  # fmt: skip


def _mean_of(values: Iterable[float | None]) -> float:
    there = [value for value in values if value is not None]
    return fmean(there) if there else math.nan


def _score(cell: Cell) -> float:
    assert cell.score is not None
    return cell.score


def _p(gain: Gain | None) -> float:
    assert gain is not None
    return gain.p


def _mean(row: Judged) -> float:
    return 0.0 if row.gain is None else row.gain.mean
