"""What a loss of a denoising network is: a function of clean data, times and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts
from hyperseg.dpm.schedules.schedule import Schedule

Loss = Callable[[Network, Tensor, Tensor, Tensor], Mapping[str, Tensor]]
"""(network, x0 (B, C, *S), t (B,) float64, noise like x0) -> terms by name, each (B,): the sum is minimised."""


class MakeLoss(Protocol):
    def __call__(self, schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Loss:
        """The loss of a network trained in `schedule` that says `predicts`; `sigma_data` is of "edm"."""


class Noised(NamedTuple):
    """Clean data with noise.

    Attributes:
        state: (B, C, *S) alpha x0 + std noise.
        alpha, std: (B, 1, ..., 1) in x0's type.
        place: (B,) by which the network is told the time.
    """

    state: Tensor
    alpha: Tensor
    std: Tensor
    place: Tensor


def noised(schedule: Schedule, x0: Tensor, t: Tensor, noise: Tensor) -> Noised:
    """The state at the times t (B,), which are reckoned in float64."""
    alpha, std = (per_sample(curve(t), x0).to(x0.dtype) for curve in (schedule.alpha, schedule.std))
    return Noised(alpha * x0 + std * noise, alpha, std, schedule.place(t).to(x0.dtype))


def each(values: Tensor) -> Tensor:
    """(B,) mean over everything but the samples."""
    return values.flatten(1).mean(1)
