"""Data whose denoiser is known exactly (a Gaussian, a mixture in the plane), and how far a cloud is from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise, Prediction, per_sample
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sample


def gaussian(spread: float) -> Denoise:
    """Of data N(0, spread^2) in every pixel, with all that a network may say besides."""

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        s2 = per_sample(sigma, x) ** 2
        x0 = spread**2 / (spread**2 + s2) * x
        unknown = spread**2 / (spread**2 + s2) + 0 * x
        squared = s2 * x**2 / (spread**2 + s2) ** 2 + unknown
        return Prediction(x0, 0.5 + 0 * x, squared, unknown)

    return denoise


@dataclass(frozen=True)
class Mixture:
    """Normal clouds of one spread around means (k, d), all as likely; samples are (n, d, 1)."""

    means: Tensor
    spread: float

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        which = torch.randint(len(self.means), (n,), generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        return (self.means[which] + self.spread * noise)[..., None]

    def denoise(self, x: Tensor, sigma: Tensor) -> Prediction:
        """With the share of the variance between its bounds left out: it depends on the step."""
        flat, s2 = x[..., 0], per_sample(sigma, x[..., 0]) ** 2
        total = self.spread**2 + s2
        far = (flat[:, None] - self.means).square().sum(-1)
        weight = (-far / (2 * total)).softmax(1)
        mean, square = weight @ self.means, weight @ self.means.square()
        x0 = (self.spread**2 * flat + s2 * mean) / total
        doubt = (s2 / total) ** 2 * (square - mean**2) + self.spread**2 * s2 / total  # variance of x0 given x
        residual = doubt / s2
        return Prediction(x0[..., None], None, (residual + (flat - x0) ** 2 / s2)[..., None], residual[..., None])


def ring(n: int = 6, spread: float = 0.08) -> Mixture:
    """Clouds on the unit circle."""
    angles = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    return Mixture(torch.stack([angles.cos(), angles.sin()], 1), spread)


def wasserstein(a: Tensor, b: Tensor) -> float:
    """2-Wasserstein distance of two clouds of as many points, by the best assignment."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(a.flatten(1), b.flatten(1)).square().numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean() ** 0.5)


def response(sample: Sample, denoise: Denoise, grid: Grid, draws: int) -> Tensor:
    """How the result depends on the start and on each of `draws` numbers drawn on the way, where it does so linearly.

    More runs than numbers with all of them known give the coefficients exactly, whatever the sampler does inside.
    """
    n = draws + 1 + max(64, draws // 3)
    start = torch.randn(n, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made = sample(denoise, start, grid, generator=torch.Generator().manual_seed(2)).x
    again = torch.Generator().manual_seed(2)
    noise = [torch.randn(n, 1, 1, generator=again, dtype=torch.float64) for _ in range(draws)]
    known = torch.cat([start, *noise], 1)[..., 0]
    found = torch.linalg.lstsq(known, made[:, 0])
    left = made[:, 0] - known @ found.solution
    assert float(left.abs().max()) < 1e-9, "the result depends on something else, or not linearly"
    return found.solution[:, 0]


def variance(sample: Sample, denoise: Denoise, grid: Grid, draws: int, start: float) -> float:
    """Of the result, from a normal start of the given variance; exact for linear samplers."""
    way = response(sample, denoise, grid, draws).square()
    return float(way[0] * start + way[1:].sum())


def assert_reached(mixture: Mixture, made: Tensor, *, within: float) -> None:
    """A cloud is a sample of the mixture: shares of its parts, their width, and the distance to other samples.

    Args:
        within: what share the width may be off, beside chance.
    """
    n, k = len(made), len(mixture.means)
    far, part = (made[..., 0][:, None] - mixture.means).square().sum(-1).min(1)
    counts = torch.bincount(part, minlength=k)
    assert float(((counts - n / k) ** 2 / (n / k)).sum()) < k - 1 + 5 * (2 * (k - 1)) ** 0.5, counts  # chi squared
    width = float(far.mean() ** 0.5) / (mixture.spread * mixture.means.shape[1] ** 0.5)
    assert abs(width - 1) < within + 3 / (4 * n) ** 0.5, width
    samples = [mixture.draw(n, torch.Generator().manual_seed(seed)) for seed in range(900, 906)]
    chance = [wasserstein(samples[0], other) for other in samples[1:]]
    assert min(wasserstein(made, other) for other in samples[:3]) < max(chance) + 0.02
