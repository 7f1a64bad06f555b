"""What an objective is: a loss, what the network says, in which schedule, and which times are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hyperseg.dpm.adapters import Extra
from hyperseg.dpm.losses.loss import MakeLoss
from hyperseg.dpm.objectives.times import Times, even
from hyperseg.dpm.parameterisation import Predicts
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.schedules.vdm import LearntGamma


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
        learnt: makes a schedule that is learnt with the network, which then replaces `schedule`; or None.
    """

    name: str
    loss: MakeLoss
    predicts: Predicts
    schedule: Schedule
    source: str
    times: Times = even
    extras: tuple[Extra, ...] = ()
    on_steps: bool = False
    learnt: Callable[[], LearntGamma] | None = None
