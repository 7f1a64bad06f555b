"""Losses and gradient norms on their way to the history: left on the device, read some steps later in one transfer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hyperseg.core import TrainingError
from hyperseg.engine.training import History

Named = tuple[str, tuple[str, ...]]
"""Name of a phase, and of its loss terms."""


@dataclass
class Readings:
    """What was measured and not read yet.

    Attributes:
        history: where it goes.
        every: steps between two readings.
        several: there are several phases: terms are called "phase.term".
    """

    history: History
    every: int
    several: bool
    waiting: list[tuple[int, Sequence[Named], Tensor]] = field(default_factory=list)

    def note(self, step: int, phases: Sequence[Named], values: Tensor) -> None:
        """Keep the values of a step (counted from 0): the terms of each phase that was due, then its gradient norm."""
        self.waiting.append((step, phases, values))
        if len(self.waiting) >= self.every:
            self.read()

    def read(self) -> None:
        """Put what waits into the history.

        Raises:
            TrainingError: a loss or gradient is not finite; of the first bad step.
        """
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        numbers = iter(torch.cat([values for _, _, values in waiting]).tolist())
        for step, phases, _ in waiting:
            terms: dict[str, float] = {}
            for name, names in phases:
                prefix = f"{name}." if self.several else ""
                losses = finite(name, names, [next(numbers) for _ in range(len(names) + 1)], step)
                terms |= {prefix + term: value for term, value in losses.items()}
            self.history.log(step + 1, terms)


def finite(phase: str, names: Iterable[str], values: Sequence[float], step: int) -> dict[str, float]:
    """The loss terms of a phase by name; `values` are they and the norm of the gradient.

    Raises:
        TrainingError: one of them is not finite; says phase, term and step.
    """
    *found, size = values
    losses = dict(zip(names, found, strict=True))
    if not math.isfinite(sum(values)):
        what = "gradient" if math.isfinite(sum(found)) else "loss"
        raise TrainingError(
            f"phase {phase!r}, step {step}: the {what} is not finite ({losses}, gradient norm {size}). "
            "Lower the learning rate, use fp32, or look for extreme values in the cube."
        )
    return losses
