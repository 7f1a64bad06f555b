"""How many steps fit into so many minutes: every row is tried for a few steps before anything is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hyperseg.recipes.bench.tricks.rows import PLAIN, Row

FEWEST = 10  # steps
SHARE = 0.95  # of the minutes, the rest is starting and writing


@dataclass(frozen=True)
class RowPace:
    """What a row was found to take.

    Attributes:
        row: which.
        step: seconds of a training step.
        begin: seconds before the first one.
        case: seconds of a held-out case.
    """

    row: Row
    step: float
    begin: float
    case: float


@dataclass(frozen=True)
class Cost:
    """Seconds of a whole benchmark, fixed and for each step, all processes together."""

    fixed: float
    step: float

    def seconds(self, steps: int, jobs: int) -> float:
        """That pass on the clock."""
        return (self.fixed + steps * self.step) / (SHARE * jobs)

    def steps(self, minutes: float, jobs: int) -> int:
        """Of every training, so that all takes so long; `FEWEST` at least."""
        return max(int((60 * minutes * SHARE * jobs - self.fixed) / self.step), FEWEST)


def cost_of(paces: Sequence[RowPace], *, cells: int, cases: int) -> Cost:
    """What all rows take, and one more for all that helped, which costs as much as a row does on average.

    Args:
        paces: of every row.
        cells: of each row.
        cases: held out in all cells of a row together.
    """
    trained = [pace for pace in paces if pace.row.trains]
    fixed = sum(pace.begin for pace in trained) * cells + sum(pace.case for pace in paces) * cases
    step = sum(pace.step for pace in trained) * cells
    others = [pace for pace in trained if pace.row != PLAIN]
    if len(paces) > 2 and others:
        more = 1 + 1 / len(others)
        fixed, step = fixed * more, step * more
    return Cost(fixed, max(step, 1e-9))
