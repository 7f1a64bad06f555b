"""Denoisers known in closed form: data that are Gaussian, or a mixture of Gaussians in the plane."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise, Prediction, per_sample


def gaussian(std: float = 0.5, mean: float = 0.0) -> Denoise:
    """Data of any shape, each value of its own N(mean, std^2); all that a network may say is said."""

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        level = per_sample(sigma, x)
        keep = std**2 / (std**2 + level**2)
        x0 = mean + keep * (x - mean)
        residual = keep + 0 * x
        return Prediction(x0, 0.5 + 0 * x, ((x - x0) / level) ** 2 + residual, residual)

    return denoise


def gaussian_flow(x: Tensor, sigma: float, then: float, std: float = 0.5) -> Tensor:
    """Where the probability-flow equation takes x from noise `sigma` to `then`, for data N(0, std^2)."""
    return x * math.sqrt((std**2 + then**2) / (std**2 + sigma**2))


def means() -> Tensor:
    """(6, 2) on the unit circle."""
    angles = torch.arange(6, dtype=torch.float64) * math.pi / 3
    return torch.stack([angles.cos(), angles.sin()], 1)


def mixture(std: float = 0.08) -> Denoise:
    """Data (B, 2) of six Gaussians of equal weight around `means`."""
    centres = means()

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        noise = sigma.reshape(-1, 1) ** 2
        total = noise + std**2
        weights = torch.softmax(-((x[:, None] - centres) ** 2).sum(-1) / (2 * total), 1)
        return Prediction((std**2 * x + noise * (weights @ centres)) / total)

    return denoise


def mixture_data(n: int, generator: torch.Generator, std: float = 0.08) -> Tensor:
    """(n, 2) draws of the mixture, as many of each Gaussian as of any other, but for a rest."""
    centres = means()[torch.arange(n) % 6]
    return centres + std * torch.randn(n, 2, generator=generator, dtype=torch.float64)
