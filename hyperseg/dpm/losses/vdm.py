"""The variational bound in continuous time, in nats per dimension.

With gamma = 2 log(std / alpha) its main part is half the integral of gamma'(t) E|noise - noise said|^2, which depends
on the ends of gamma only. The signal-to-noise ratio is exp(-gamma), and gamma rises.

Source: Kingma et al., "Variational Diffusion Models", NeurIPS 2021, eqs. 11 to 17.
Differs: data are densities, not steps of 1/255, so the last term is a normal density of the noise at the beginning:
    data that come in steps need dequantising, or the bound falls without end as the noise at the beginning does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.losses.loss import Loss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule


def gamma_slope(schedule: Schedule, t: Tensor) -> Tensor:
    """(B,) float64 slope of gamma, with a gradient for a schedule that is being learnt."""
    with torch.enable_grad():
        at = t.detach().double().requires_grad_()
        gamma = 2 * schedule.ratio(at).log()
        (slope,) = torch.autograd.grad(gamma.sum(), at, create_graph=True)
    return slope


def ends(schedule: Schedule, x0: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) what is left of the data at the end, and (B,) what the noise at the beginning hides; nats per dimension."""
    late, early = (torch.full((len(x0),), t, dtype=torch.float64, device=x0.device) for t in _ends(schedule))
    variance = schedule.std(late) ** 2
    prior = 0.5 * (each(x0.double() ** 2) * schedule.alpha(late) ** 2 + variance - 1 - variance.log())
    data = 0.5 * (math.log(2 * math.pi * math.e) + 2 * schedule.ratio(early).log())
    return prior, data


def continuous(schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Loss:
    """See `MakeLoss`, for times drawn evenly. The terms are "diffusion", "prior" and "data"; their sum is the bound."""
    form = parameterisation(predicts, sigma_data=sigma_data)
    span = schedule.t_max - schedule.t_min

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        out = network(form.input(state, alpha, std), place).to(x0.dtype)
        said = (state - alpha * form.x0(state, out, alpha, std)) / std
        diffusion = 0.5 * span * gamma_slope(schedule, t).to(x0.dtype) * each((noise - said) ** 2)
        prior, data = (term.to(x0.dtype) for term in ends(schedule, x0))
        return {"diffusion": diffusion, "prior": prior, "data": data}

    return loss


def _ends(schedule: Schedule) -> tuple[float, float]:
    return schedule.t_max, schedule.t_min
