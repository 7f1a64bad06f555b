"""The sub-VP equation: as VP, with less noise on the way, made for likelihoods.

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021:
g squared is b (1 - exp(-2 B)), mean exp(-B / 2), standard deviation 1 - exp(-B), B the integral of b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.schedules.vp import check_rates, integral, time_of


def subvp(low: float = 0.1, high: float = 20.0) -> Schedule:
    """The schedule with b(t) from `low` to `high`.

    Raises:
        SettingError: not 0 < low < high.
    """
    check_rates(low, high)

    def time(ratio: Tensor) -> Tensor:
        # ratio = 2 sinh(B / 2)
        return time_of(2 * torch.asinh(ratio / 2), low, high)

    return Schedule(
        "subvp",
        alpha=lambda t: torch.exp(-integral(t, low, high) / 2),
        std=lambda t: -torch.expm1(-integral(t, low, high)),
        time=time,
    )


SUBVP = subvp()
