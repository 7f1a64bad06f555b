"""Improved DDPM's loss: the simple one for the mean, a little of the variational bound for the variance.

Source: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021: L_simple + 0.001 L_vlb, no
gradient of the bound reaches the mean; the variance lies between its two bounds on a log scale.
Differs: the bound is in nats per dimension; its last term is a normal density, as data need not come in steps of 1/255.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.losses.loss import Loss, each, noised
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule

BOUND = 0.001  # weight of the variational bound


class Reverse(NamedTuple):
    """One step back of a process of steps, given clean data; all (B,) float64.

    Attributes:
        of_x0, of_state: the mean is of_x0 x0 + of_state x_t.
        large, small: log of the upper and lower bound of its variance, beta and the posterior's.
        first: 1 at the first step, the last one back.
    """

    of_x0: Tensor
    of_state: Tensor
    large: Tensor
    small: Tensor
    first: Tensor


def reverse(schedule: Schedule, t: Tensor) -> Reverse:
    """The step from t to t - 1/T.

    The lower bound of the first step's variance, which is 0, is that of the second.

    Raises:
        SettingError: the schedule is not one of steps.
    """
    steps = len(schedule.step_times())
    first = t * steps < 1.5
    abar, second = schedule.alpha(t) ** 2, schedule.alpha(torch.full_like(t, 2 / steps)) ** 2
    before = torch.where(first, 1.0, schedule.alpha(t - 1 / steps) ** 2)
    beta = 1 - abar / before
    share = (1 - before) / (1 - abar)
    start = schedule.alpha(torch.full_like(t, 1 / steps)) ** 2
    least = (1 - second / start) * (1 - start) / (1 - second)
    small = torch.where(first, least, beta * share)
    return Reverse(
        before.sqrt() * beta / (1 - abar), (abar / before).sqrt() * share, beta.log(), small.log(), first.to(t.dtype)
    )


def bound_terms(schedule: Schedule, x0: Tensor, x0_said: Tensor, logit: Tensor, t: Tensor) -> Tensor:
    """(B,) one term of the variational bound in nats per dimension, of a variance of `share` = sigmoid(logit)."""
    of_x0, _, large, small, first = (per_sample(v, x0).to(x0.dtype) for v in reverse(schedule, t))
    share = logit.sigmoid()
    log_variance = share * large + (1 - share) * small
    distance = (of_x0 * (x0 - x0_said)) ** 2 * (-log_variance).exp()
    kl = 0.5 * (log_variance - small - 1 + (small - log_variance).exp() + distance)
    density = 0.5 * (math.log(2 * math.pi) + log_variance + distance)
    return each(torch.where(first > 0, density, kl))


def hybrid(schedule: Schedule, predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Loss:
    """See `MakeLoss`; the network says its prediction, then the logits of `share`. The terms are "square", "bound".

    Raises:
        SettingError: the schedule is not one of steps.
    """
    form = parameterisation(predicts, sigma_data=sigma_data)
    steps = len(schedule.step_times())

    def loss(network: Network, x0: Tensor, t: Tensor, noise: Tensor) -> Mapping[str, Tensor]:
        state, alpha, std, place = noised(schedule, x0, t, noise)
        out, logit = network(form.input(state, alpha, std), place).to(x0.dtype).chunk(2, 1)
        x0_said = form.x0(state, out.detach(), alpha, std)
        term = bound_terms(schedule, x0, x0_said, logit, t)
        return {
            "square": each((out - form.target(x0, noise, alpha, std)) ** 2),
            "bound": BOUND * steps * term,  # T times one term is the whole bound, on average
        }

    return loss
