"""How unlikely spectra are to a diffusion model, as a Gaussian's answer and what the network knows better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise


@dataclass(frozen=True)
class Levels:
    """Noise levels at which a network is asked, and how much each counts.

    Attributes:
        sigmas: (K,) rising, evenly spaced on a log scale.
        weights: (K,) of the trapezoid rule over log sigma.
        noise: (K, N, C, *S) of each level, the same for every spectrum: what a pixel gets does not depend on the
            window it lies in. Each is used with both signs, and the mean square of a level is 1: errors that are linear
            in the noise, and most of the square ones, do not depend on the draw.
    """

    sigmas: Tensor
    weights: Tensor
    noise: Tensor


def make_levels(
    shape: tuple[int, ...], *, levels: int, draws: int, low: float, high: float, seed: int,
    device: torch.device | str = "cpu",
) -> Levels:  # fmt: skip
    """Levels from `low` to `high` with `draws` pairs of noise of `shape` (C, *S) each.

    Raises:
        SettingError: fewer than two levels, no draw, or not 0 < low < high.
    """
    if levels < 2 or draws < 1 or not 0 < low < high:
        raise SettingError(
            f"the score needs 2 or more levels from low to high, 0 < low < high, and 1 or more draws; got {levels} "
            f"levels from {low:g} to {high:g} and {draws} draws."
        )
    logs = torch.linspace(math.log(low), math.log(high), levels, dtype=torch.float64)
    weights = torch.full_like(logs, float(logs[1] - logs[0]))
    weights[[0, -1]] /= 2
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((levels, draws, *shape), generator=generator, dtype=torch.float64)
    noise *= noise.square().flatten(1).mean(1).rsqrt().reshape(-1, *(1,) * (noise.ndim - 1))
    return Levels(logs.exp().to(device), weights.to(device), noise.to(device))


def beyond_gaussian(denoise: Denoise, x: Tensor, levels: Levels) -> Tensor:
    """(B,) nats by which -log p of the network exceeds that of a standard Gaussian; negative where it expects more.

    With noise x + sigma e and signal-to-noise ratio g = 1 / sigma^2, -log p(x) is a constant and half the integral over
    g of E |x - x0(x + sigma e)|^2. A Gaussian's x0 is known, so only the difference of the two errors is integrated,
    on the same noise: it varies little, and a network that says what the Gaussian says gives exactly 0.

    Args:
        denoise: the network; of the standard Gaussian it would be x / (1 + sigma^2).
        x: (B, C, *S) float64, whitened.
        levels: for that shape. Beyond their ends the two are taken to be alike.

    Source: Kong, Brekelmans & Ver Steeg, "Information-Theoretic Diffusion", ICLR 2023, eq. 8-9 (the integral over the
        signal-to-noise ratio, and the difference from a Gaussian).
    """
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for sigma, weight, draws in zip(levels.sigmas, levels.weights, levels.noise, strict=True):
        scale = weight / sigma**2 / (2 * len(draws))
        for noise in draws:
            for sign in (1.0, -1.0):
                state = x + sign * sigma * noise
                told = denoise(state, sigma.expand(len(x))).x0
                plain = state / (1 + sigma**2)
                gain = (x - told).square() - (x - plain).square()
                total += scale * gain.flatten(1).sum(1)
    return total
