"""What bench_bridged.py reads from the curve of a training: Dice every ten steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bridged_rows import END

LEVEL, LAST = 0.8, 10  # the Dice that is waited for; evaluations of the spread
Line = dict[str, Any]
Measure = Callable[[Line], float]


def final(line: Line) -> float:
    """The mean of the last five evaluations."""
    return float(np.mean(line["curve"][-END:]))


def whole(line: Line) -> float:
    """The mean of all evaluations: high where much is learnt early."""
    return float(np.mean(line["curve"]))


def spread(line: Line) -> float:
    """The standard deviation of the last ten evaluations."""
    return float(np.std(line["curve"][-LAST:], ddof=1))


def jumps(line: Line) -> float:
    """Of the last ten evaluations the root mean square of the steps from one to the next, by root 2.

    It is the standard deviation where they swing around one value, and sees no slow rise, which the spread sees.
    """
    return float(np.sqrt(np.mean(np.diff(line["curve"][-LAST:]) ** 2) / 2))


def until(line: Line, level: float) -> int | None:
    """The first evaluated step with this Dice."""
    reached = [i for i, dice in enumerate(line["curve"], 1) if dice >= level]
    return line["every"] * reached[0] if reached else None


def late(line: Line, level: float) -> float:
    """The same, and one evaluation more than there are where it is not reached: the least that it can be."""
    return until(line, level) or line["steps"] + line["every"]


def level_of(lines: Sequence[Line]) -> float:
    """0.8, or 0.8 of the highest final Dice where fewer than half of the trainings of a set reach 0.8."""
    reached = [until(line, LEVEL) is not None for line in lines]
    return LEVEL if sum(reached) * 2 >= len(reached) else LEVEL * max(map(final, lines))
