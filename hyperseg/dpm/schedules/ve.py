"""The variance-exploding equation: noise is added, nothing is scaled.

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021:
standard deviation 0.01 (50 / 0.01)^t, for data of values between 0 and 1.
"""

from __future__ import annotations

import math

import torch

from hyperseg.core import SettingError
from hyperseg.dpm.schedules.schedule import Schedule


def ve(low: float = 0.01, high: float = 50.0) -> Schedule:
    """The schedule of noise from `low` to `high`.

    Raises:
        SettingError: not 0 < low < high.
    """
    if not 0 < low < high:
        raise SettingError(f"noise rises from above 0 to a larger number, got {low} to {high}.")
    span = math.log(high / low)
    return Schedule(
        "ve",
        alpha=torch.ones_like,
        std=lambda t: low * torch.exp(span * t),
        time=lambda ratio: ((ratio / low).log() / span).clamp(min=0),
        prior=high,
        t_min=0.0,
    )


VE = ve()
