"""Which times are drawn in training: quantile functions, and a distribution that follows the size of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.dpm.schedules.schedule import Schedule

Times = Callable[[Schedule, Tensor], Tensor]
"""(schedule, u (B,) float64 in [0, 1)) -> t (B,): the quantile function of the times that are drawn."""


def even(schedule: Schedule, u: Tensor) -> Tensor:
    """All times alike; whole steps of a process of steps."""
    if schedule.steps is not None:
        return ((u * schedule.steps).floor() + 1) / schedule.steps
    return schedule.t_min + u * (schedule.t_max - schedule.t_min)


def even_ratio(schedule: Schedule, u: Tensor) -> Tensor:
    """All logarithms of the noise-to-signal ratio alike, between the schedule's ends."""
    low, high = (
        schedule.ratio(torch.full_like(u[:1], end, dtype=torch.float64)).log()
        for end in (schedule.t_min, schedule.t_max)
    )
    return schedule.time((low + u * (high - low)).exp()).clamp(schedule.t_min, schedule.t_max)


def log_normal(mean: float = -1.2, spread: float = 1.2) -> Times:
    """Logarithms of the noise-to-signal ratio are normal.

    Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, table 1.
    """

    def times(schedule: Schedule, u: Tensor) -> Tensor:
        level = (mean + spread * torch.special.ndtri(u.clamp(1e-9, 1 - 1e-9))).exp()
        return schedule.time(level).clamp(schedule.t_min, schedule.t_max)

    return times


class Bent(NamedTuple):
    """Quantiles that were redistributed.

    Attributes:
        u: (B,) float64 the new quantiles.
        weight: (B,) float64 that undoes it in a mean.
    """

    u: Tensor
    weight: Tensor


class LossSizes(nn.Module):
    """How large the loss is in each of `bins` parts of the times, so that times are drawn in proportion.

    Nothing here waits for a value: it may stand in a recorded step.

    Source: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021: t is drawn in proportion
        to the root of E L_t^2.
    Differs: moving means over bins of times instead of the last ten values of each step, so that it serves schedules
        without steps and small budgets too.
    """

    squares: Tensor

    def __init__(self, bins: int = 50, *, rate: float = 0.1, floor: float = 0.05) -> None:
        super().__init__()
        self.rate, self.floor = rate, floor
        self.register_buffer("squares", torch.ones(bins, dtype=torch.float64))

    def probs(self) -> Tensor:
        """(bins,) of the parts; `floor` of it is shared by all alike."""
        root = self.squares.sqrt()
        return (1 - self.floor) * root / root.sum() + self.floor / len(root)

    def bend(self, u: Tensor) -> Bent:
        """Quantiles (B,) in [0, 1) of a uniform distribution, as quantiles where the loss is large."""
        probs = self.probs()
        ends = probs.cumsum(0)
        which = torch.searchsorted(ends, u, right=True).clamp(max=len(probs) - 1)
        inside = ((u - ends[which]) / probs[which] + 1).clamp(0, 1 - 1e-12)
        return Bent((which + inside) / len(probs), 1 / (probs[which] * len(probs)))

    @torch.no_grad()
    def note(self, u: Tensor, losses: Tensor) -> None:
        """Remember the losses (B,) at the quantiles (B,), before any weight."""
        which = (u * len(self.squares)).long().clamp(max=len(self.squares) - 1)
        zeros = torch.zeros_like(self.squares)
        count = zeros.index_add(0, which, torch.ones_like(u))
        total = zeros.index_add(0, which, losses.double() ** 2)
        self.squares.lerp_(torch.where(count > 0, total / count.clamp(min=1), self.squares), self.rate)
