"""What an objective is: a loss, what the network says, in which schedule, and which times are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.dpm.adapters import Extra
from hyperseg.dpm.losses.loss import MakeLoss
from hyperseg.dpm.parameterisation import Predicts
from hyperseg.dpm.schedules.schedule import Schedule

Times = Callable[[Schedule, Tensor], Tensor]
"""(schedule, u (B,) float64 in [0, 1)) -> t (B,): the quantile function of the times that are drawn."""


def even(schedule: Schedule, u: Tensor) -> Tensor:
    """All times alike; whole steps of a process of steps."""
    if schedule.steps is not None:
        return ((u * schedule.steps).floor() + 1) / schedule.steps
    return schedule.t_min + u * (schedule.t_max - schedule.t_min)


def log_normal(mean: float = -1.2, spread: float = 1.2) -> Times:
    """Log noise-to-signal ratios are normal.

    Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, table 1.
    """

    def times(schedule: Schedule, u: Tensor) -> Tensor:
        level = (mean + spread * torch.special.ndtri(u.clamp(1e-9, 1 - 1e-9))).exp()
        return schedule.time(level).clamp(schedule.t_min, schedule.t_max)

    return times


@dataclass(frozen=True)
class Objective:
    """An objective as a value.

    Attributes:
        name: as in the table.
        loss: makes the loss.
        predicts: what the network says.
        schedule: that it goes with.
        source: the paper.
        times: how they are drawn.
        extras: what the network says besides, and this loss trains.
        on_steps: it is defined for schedules of steps only.
    """

    name: str
    loss: MakeLoss
    predicts: Predicts
    schedule: Schedule
    source: str
    times: Times = even
    extras: tuple[Extra, ...] = ()
    on_steps: bool = False
