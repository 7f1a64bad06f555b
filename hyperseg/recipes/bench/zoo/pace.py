"""How long a benchmark of networks takes: every network is tried for a few steps before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from hyperseg.recipes.bench.zoo.rows import Cell, Row, Task, told

FEW, MORE = 1, 4  # steps of a trial
FEWEST = 10  # steps of a training that is fitted to the minutes
SHARE = 0.9  # of the minutes; the rest is starting, writing, and what trials are too short to see


@dataclass(frozen=True)
class Pace:
    """What a cell of a row was found to take.

    Attributes:
        row: key.
        step: seconds of a training step; begin: of what comes before the first; test: of all after the last.
        peak: bytes, see `counting.headroom`.
        note: why the trial failed, or "".
    """

    row: str
    step: float
    begin: float
    test: float
    peak: int | None = None
    note: str = ""

    def seconds(self, steps: int) -> float:
        """Of a cell."""
        return self.begin + steps * self.step + self.test


def failed_pace(row: Row, why: BaseException) -> Pace:
    """The pace of a row whose trial ended in an error."""
    return Pace(row.key, 0.0, 0.0, 0.0, None, told(why))


def paces_of(cells: Iterable[Cell]) -> dict[str, Pace]:
    """Paces of rows that have finished cells; steps are counted in with what comes before them."""
    by_row: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.note:
            by_row.setdefault(cell.row, []).append(cell)
    return {
        row: Pace(row, 0.0, fmean(c.training_s for c in found), fmean(c.prediction_s for c in found))
        for row, found in by_row.items()
    }


def seconds_of(tasks: Sequence[Task], paces: Mapping[str, Pace], steps: int, jobs: int) -> float:
    """That pass on the clock until all cells are made; rows without a pace count as the mean of the others."""
    known = {row: pace.seconds(steps) for row, pace in paces.items()}
    usual = fmean(known.values()) if known else 0.0
    return sum(known.get(task.row.key, usual) for task in tasks) / (SHARE * jobs)


def fitting_steps(tasks: Sequence[Task], paces: Mapping[str, Pace], minutes: float, jobs: int, most: int) -> int:
    """Steps of every training so that all cells take so long: `most` at most, `FEWEST` at least."""
    fixed = seconds_of(tasks, paces, 0, jobs)
    step = seconds_of(tasks, paces, 1, jobs) - fixed
    fit = int((60 * minutes - fixed) / step) if step > 0 else most
    return max(min(fit, most), min(FEWEST, most))
