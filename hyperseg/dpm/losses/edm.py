"""EDM's loss: the mean square error of the clean data, weighted so that all noise levels count alike at the start.

Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, table 1:
weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.losses.loss import Loss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule


def weighted(schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Loss:
    """See `MakeLoss`. The term is "square"."""
    form = parameterisation(predicts, sigma_data=sigma_data)

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        out = network(form.input(state, alpha, std), place).to(x0.dtype)
        level = std / alpha
        weight = (level**2 + sigma_data**2) / (level * sigma_data) ** 2
        return {"square": each(weight * (form.x0(state, out, alpha, std) - x0) ** 2)}

    return loss
