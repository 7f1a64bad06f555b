"""Mixtures of normal distributions: their denoiser and their density under any noise are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise, Prediction


@dataclass(frozen=True)
class Mixture:
    """Weights (K,), means (K, D) and variances (K, D) along the axes `basis` (D, D), for states (B, 1, D)."""

    weights: Tensor
    means: Tensor
    variances: Tensor
    basis: Tensor

    def _parts(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of (B, D) in the basis: log density of each component (B, K), and of each the clean data and its variance."""
        total = self.variances + sigma.reshape(-1, 1, 1) ** 2
        gap = x[:, None] - self.means
        logs = self.weights.log() - 0.5 * (gap**2 / total + total.log() + math.log(2 * math.pi)).sum(-1)
        return logs, self.means + self.variances / total * gap, total

    def denoiser(self, *, squared: bool = False) -> Denoise:
        """The exact one; with `squared` it says the expected squared noise of every dimension besides."""

        def denoise(x: Tensor, sigma: Tensor) -> Prediction:
            logs, clean, total = self._parts(x.flatten(1) @ self.basis, sigma)
            share = logs.softmax(1)[..., None]
            x0 = (share * clean).sum(1) @ self.basis.T
            if not squared:
                return Prediction(x0.reshape(x.shape))
            level = sigma[:, None] ** 2
            within = (share * self.variances * level[:, None] / total).sum(1) @ (self.basis**2).T
            between = (share * (clean @ self.basis.T - x0[:, None]) ** 2).sum(1)
            second = (within + between + (x.flatten(1) - x0) ** 2) / level
            return Prediction(x0.reshape(x.shape), squared=second.reshape(x.shape))

        return denoise

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """(B,) of data plus noise."""
        return self._parts(x.flatten(1) @ self.basis, torch.full((len(x),), sigma, dtype=x.dtype))[0].logsumexp(1)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, 1, D)."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn((n, self.means.shape[1]), generator=generator, dtype=torch.float64)
        return ((self.means[which] + self.variances[which].sqrt() * noise) @ self.basis.T)[:, None]


def gaussian(variances: list[float], *, seed: int | None = None, mean: float = 0.0) -> Mixture:
    """One normal distribution; with a seed its axes are turned at random."""
    n = len(variances)
    values = torch.tensor([variances], dtype=torch.float64)
    basis = torch.eye(n, dtype=torch.float64)
    if seed is not None:
        noise = torch.randn((n, n), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        basis = torch.linalg.qr(noise)[0]
    return Mixture(torch.ones(1, dtype=torch.float64), torch.full_like(values, mean) @ basis, values, basis)


def blobs(count: int = 5, dims: int = 3, *, seed: int = 0) -> Mixture:
    """Several normal distributions of different width, within about [-1, 1]."""
    draws = torch.Generator().manual_seed(seed)
    means = 0.5 * torch.randn((count, dims), generator=draws, dtype=torch.float64)
    stds = 0.05 + 0.25 * torch.rand((count, dims), generator=draws, dtype=torch.float64)
    weights = torch.rand(count, generator=draws, dtype=torch.float64) + 0.2
    return Mixture(weights / weights.sum(), means, stds**2, torch.eye(dims, dtype=torch.float64))


def uniform_denoiser() -> Denoise:
    """Of data that are uniform on [-1, 1] in every dimension: the mean of a normal distribution cut off there."""

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        s = sigma.reshape(-1, *(1,) * (x.ndim - 1))
        low, high = (-1 - x) / s, (1 - x) / s
        swap = low + high > 0  # both in the left tail, where log_ndtr is exact
        a, b = torch.where(swap, -high, low), torch.where(swap, -low, high)
        top = torch.special.log_ndtr(b)
        mass = top + torch.log1p(-torch.exp(torch.special.log_ndtr(a) - top))
        ends = [torch.exp(-(e**2) / 2 - 0.5 * math.log(2 * math.pi) - mass) for e in (low, high)]
        return Prediction(x + s * (ends[0] - ends[1]))

    return denoise
