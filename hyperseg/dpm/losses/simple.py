"""DDPM's simple loss: the mean square of what the network says less what would be right, the same at all times.

Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, eq. 14 (noise); Salimans & Ho,
"Progressive Distillation", ICLR 2022 (clean data, velocity).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.losses.loss import Loss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule


def simple(schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Loss:
    """See `MakeLoss`. The term is "square"."""
    form = parameterisation(predicts, sigma_data=sigma_data)

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        out = network(form.input(state, alpha, std), place).to(x0.dtype)
        return {"square": each((out - form.target(x0, noise, alpha, std)) ** 2)}

    return loss
