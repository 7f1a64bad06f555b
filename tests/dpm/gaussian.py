"""Gaussian data N(0, s^2) and the network that is right for them, whatever it is asked to say."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.dpm.adapters import Network
from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule


def gain(schedule: Schedule, predicts: Predicts, t: Tensor, s: float, sigma_data: float = SIGMA_DATA) -> Tensor:
    """(B,) the right answer is this number times what the network sees."""
    form = parameterisation(predicts, sigma_data=sigma_data)
    alpha, std = schedule.alpha(t), schedule.std(t)
    state = torch.ones_like(alpha)
    x0 = alpha * s**2 / (alpha**2 * s**2 + std**2) * state
    noise = (state - alpha * x0) / std
    return form.target(x0, noise, alpha, std) / form.input(state, alpha, std)


def right(schedule: Schedule, predicts: Predicts, t: Tensor, s: float, sigma_data: float = SIGMA_DATA) -> Network:
    """The network itself, for a batch at the times t."""
    return lambda x, place: per_sample(gain(schedule, predicts, t, s, sigma_data), x).to(x.dtype) * x


def quadrature(t: Tensor, s: float) -> tuple[Tensor, Tensor, Tensor]:
    """(x0, times, noise) with the second moments of the data and of the noise, exactly: four samples for each time."""
    x0 = torch.tensor([s, s, -s, -s], dtype=torch.float64).repeat(len(t)).reshape(-1, 1, 1)
    noise = torch.tensor([1.0, -1, 1, -1], dtype=torch.float64).repeat(len(t)).reshape(-1, 1, 1)
    return x0, t.repeat_interleave(4), noise
