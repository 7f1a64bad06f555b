"""Truncated sampling: a quick guess of the data, noised to a level well below pure noise, then the rest of the way.

Source: Lyu et al., "Accelerating Diffusion Models via Early Stop of the Diffusion Process", 2022 (ES-DDPM), and Zheng
et al., "Truncated Diffusion Probabilistic Models", ICLR 2023 (TDPM). The guess may come from any generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Generators, Sampled, noise_like
from hyperseg.dpm.grid import Grid, start_level
from hyperseg.dpm.samplers.euler import EULER
from hyperseg.dpm.samplers.sampler import Sample, Sampler

Guess = Callable[[Tensor, Generators], Tensor]
"""(x (B, C, *S), generator) -> (B, C, *S) a generator's clean data, of x's shape, type and device."""
MOST = 1024  # of the data that a Gaussian is fitted to
FROM = (
    2.0  # noise to start at, in standard deviations of the data: 1 leaves more of the guess, 4 gained nothing (digits)
)
LOWEST = 0.01  # the last level that is visited, as a share of the first one or less


def truncated(sampler: Sampler, guess: Guess, first: int) -> Sampler:
    """The sampler from point `first` of the grid on, begun at a guess with the starting noise scaled to that level.

    With `first` 0 nothing is left out: it is the ordinary sampler. Its NFE are the calls of the denoising network;
    those of the guess (a VAE, a GAN, a feed-forward network) are not counted.

    Raises:
        SettingError: a negative `first`, a sampler that has first to be fitted; when called, a grid that is too short
            or a guess of another shape.
    """
    if first < 0:
        raise SettingError(f"sampling starts at point 0 of the grid or later, got {first}.")
    inside = sampler.sample
    if inside is None:
        raise SettingError(f"{sampler.name} has first to be fitted: truncate what its fit gives.")

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        if first == 0:
            return inside(denoise, x, grid, generator=generator)
        if first > grid.steps - sampler.least:
            raise SettingError(f"a grid of {grid.steps} steps cannot start at point {first}: take more steps.")
        rest = grid.after(first)
        x0 = guess(x, generator)
        if x0.shape != x.shape:
            raise SettingError(f"the guess has shape {tuple(x0.shape)}, the noise {tuple(x.shape)}: they are the same.")
        noise = x / start_level(grid)
        return inside(denoise, x0 + float(rest.sigmas[0]) * noise, rest, generator=generator)

    return replace(
        sampler, sample=sample, saved=sampler.saved + sampler.calls * first, least=sampler.least + first, order=None
    )


def gaussian_guess(data: Tensor, generator: torch.Generator) -> tuple[Guess, float]:
    """Draws from the Gaussian of the data's principal components, and the data's standard deviation over all pixels.

    Args:
        data: (n, C, *S), two or more; 1024 of them are drawn.

    Raises:
        SettingError: fewer than two.
    """
    if len(data) < 2:
        raise SettingError(f"a Gaussian is fitted to two samples or more, got {len(data)}.")
    chosen = torch.randperm(len(data), generator=generator, device=generator.device)[:MOST].to(data.device)
    flat = data[chosen].double().flatten(1)
    centre = flat.mean(0)
    _, spread, ways = torch.linalg.svd((flat - centre) / (len(flat) - 1) ** 0.5, full_matrices=False)
    map_out = spread[:, None] * ways

    def guess(x: Tensor, generator: Generators) -> Tensor:
        z = noise_like(x.new_empty(len(x), len(map_out)), generator)
        return (centre.to(x) + z @ map_out.to(x)).reshape(x.shape)

    return guess, float(spread.square().sum() / flat.shape[1]) ** 0.5


def lowered(grid: Grid, level: float) -> Grid:
    """The grid with its first point, then as many steps as before, as they were spaced but from `level` down.

    Distances in the logarithm of the noise shrink alike, and the last level above 0 stays what it is, where that is a
    hundredth of `level` or less. A grid that starts below `level` already only gets its first point twice, a little
    apart.
    """
    sigmas = grid.sigmas
    above = sigmas[sigmas > 0]
    begin = min(level, float(above[0]) * (1 - 1e-9))
    fall = (above / above[0]).log()
    end = math.log(min(float(above[-1]), LOWEST * begin) / begin)
    moved = begin * (fall * (end / fall[-1] if len(above) > 1 else 1.0)).exp()
    return replace(grid, sigmas=torch.cat([sigmas[:1], moved, sigmas[len(above) :]]), spacing="given")


def _fit(denoise: Denoise, data: Tensor, grid: Grid, generator: Generators) -> Sample:
    one = generator if isinstance(generator, torch.Generator) else generator[0]
    guess, spread = gaussian_guess(data, one)
    rest = truncated(EULER, guess, 1).sample
    assert rest is not None

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        return rest(denoise, x, lowered(grid, FROM * spread), generator=generator)

    return sample


TRUNCATED_GAUSSIAN = Sampler(
    "truncated-gaussian", None, "training schedule: truncation", "Lyu et al., 2022; Zheng et al., ICLR 2023",
    spacing="lu", fit=_fit,
)  # fmt: skip
