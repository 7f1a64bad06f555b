"""The step of the schedule itself at a time: what a gradient moves is the mean of that step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.schedules.schedule import Schedule

FINE = 1000  # steps of the process that stands for a continuous one


class OwnStep(NamedTuple):
    """DDPM's step from a time t to the step before, in the coordinates of a `Denoise`; all (B,) float64.

    Attributes:
        now, then: noise to signal at both ends.
        alpha_now, alpha_then: of the data at both ends.
    """

    now: Tensor
    then: Tensor
    alpha_now: Tensor
    alpha_then: Tensor

    @property
    def lever(self) -> Tensor:
        """By how much the mean falls where the predicted noise rises by 1: beta / (sqrt(1 - beta) sqrt(1 - abar))."""
        return self.alpha_then * (self.now**2 - self.then**2) / self.now

    def way(self, x: Tensor, x0: Tensor) -> Tensor:
        """mu - x_t, (B, C, *S): where the step goes, for a state x and predicted clean data."""
        keep = (self.then / self.now) ** 2
        of_x = per_sample(self.alpha_then * keep - self.alpha_now, x)
        return of_x * x + per_sample(self.alpha_then * (1 - keep), x) * x0


def own_step(schedule: Schedule, t: Tensor) -> OwnStep:
    """The step at each of the times t (B,), within the ends of the schedule.

    Its beta is 1 - abar(t) / abar(t - 1/T), with abar(0) = 1; between 0 and the first step abar falls evenly. A
    continuous schedule takes a thousandth of its time.
    """
    alpha, now = schedule.alpha(t), schedule.ratio(t)
    width = 1 / schedule.steps if schedule.steps else (schedule.t_max - schedule.t_min) / FINE
    first = torch.full_like(t, width if schedule.steps else schedule.t_min)
    before = t - width
    inside = torch.maximum(before, first)
    alpha_then, then = schedule.alpha(inside), schedule.ratio(inside)
    share = (before / first).clamp(0, 1)  # of the first step's noise
    low = before < first
    abar = 1 - (1 - alpha_then**2) * share
    if schedule.preserving:
        near_alpha, near = abar.sqrt(), ((1 - abar) / abar).clamp(min=0).sqrt()
    else:
        near_alpha, near = alpha_then, then * share
    return OwnStep(now, torch.where(low, near, then), alpha, torch.where(low, near_alpha, alpha_then))
