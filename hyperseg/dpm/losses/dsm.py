"""Denoising score matching: the mean square of the score's error, weighted by time.

Source: Vincent, "A Connection Between Score Matching and Denoising Autoencoders", Neural Computation 2011; Song et al.,
"Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, eq. 7; Song et al., "Maximum
Likelihood Training of Score-Based Diffusion Models", NeurIPS 2021 (weighted by g squared).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.adapters import Network
from hyperseg.dpm.losses.loss import Loss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule

Weighting = Literal["variance", "likelihood"]


def dsm(
    schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA, weighting: Weighting = "variance"
) -> Loss:
    """See `MakeLoss`. The term is "score".

    Args:
        weighting: "variance" weights by std squared, so that all times count alike; it is DDPM's simple loss in other
            words. "likelihood" weights by g squared of the schedule's equation: half the integral over time bounds the
            likelihood.

    Raises:
        SettingError: an unknown weighting.
    """
    form = parameterisation(predicts, sigma_data=sigma_data)
    if weighting not in ("variance", "likelihood"):
        raise SettingError(f"scores are weighted by variance or likelihood, got {weighting!r}.")

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        out = network(form.input(state, alpha, std), place).to(x0.dtype)
        # std times the score, by which no number grows without bound where there is little noise
        scaled = std * out if predicts == "score" else (alpha * form.x0(state, out, alpha, std) - state) / std
        square = each((scaled + noise) ** 2)
        if weighting == "likelihood":
            square = square * (schedule.diffusion(t) / schedule.std(t) ** 2).to(x0.dtype)
        return {"score": square}

    return loss
