"""The variance-preserving equation: the limit of DDPM's steps.

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021:
dx = -b(t) x / 2 dt + sqrt(b(t)) dw with b from 0.1 to 20.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.schedules.schedule import Schedule


def integral(t: Tensor, low: float, high: float) -> Tensor:
    """The integral of b from 0 to t."""
    return low * t + (high - low) * t**2 / 2


def time_of(total: Tensor, low: float, high: float) -> Tensor:
    """The inverse of `integral`."""
    slope = high - low
    return 2 * total / (low + (low**2 + 2 * slope * total).sqrt())


def check_rates(low: float, high: float) -> None:
    """Raise SettingError unless 0 < low < high."""
    if not 0 < low < high:
        raise SettingError(f"the rate of noise rises from above 0 to a larger number, got {low} to {high}.")


def vp(low: float = 0.1, high: float = 20.0) -> Schedule:
    """The schedule with b(t) from `low` to `high`.

    Raises:
        SettingError: not 0 < low < high.
    """
    check_rates(low, high)
    return Schedule(
        "vp",
        alpha=lambda t: torch.exp(-integral(t, low, high) / 2),
        std=lambda t: (-torch.expm1(-integral(t, low, high))).sqrt(),
        time=lambda ratio: time_of(torch.log1p(ratio**2), low, high),
        preserving=True,
    )


VP = vp()
