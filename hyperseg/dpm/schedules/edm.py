"""EDM's schedule: the time is the noise.

Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022: sigma from
0.002 to 80, the network is told log(sigma) / 4.
Differs: the network is told a thousand times that, as the embedding of times expects hundreds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.schedules.schedule import Schedule


def edm(low: float = 0.002, high: float = 80.0) -> Schedule:
    """The schedule of noise from `low` to `high`.

    Raises:
        SettingError: not 0 < low < high.
    """
    if not 0 < low < high:
        raise SettingError(f"noise rises from above 0 to a larger number, got {low} to {high}.")

    def same(t: Tensor) -> Tensor:
        return t

    return Schedule(
        "edm", alpha=torch.ones_like, std=same, time=same, prior=high, t_min=low, t_max=high, by_noise=True,
        place=lambda t: 250 * t.clamp(min=low).log(),
    )  # fmt: skip


EDM = edm()
