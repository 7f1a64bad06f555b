"""Analytic-DPM: the best variance of a step that is the same for all pixels, from one number for each noise level.

Source: Bao et al., "Analytic-DPM: an Analytic Estimate of the Optimal Reverse Variance in Diffusion Probabilistic
Models", ICLR 2022, theorems 1 and 2. In these coordinates the variance is free + (s - sqrt(s'^2 - free))^2 (1 - G)
with G = E ||eps||^2 / D of the predicted noise; G lies between 0 and 1, and s^2 (1 - G), the mean squared error of x0,
is at most the square of half the range of the data.
Differs: 1 - G is estimated as E ||noise - eps||^2 / D, on some hundred of the data. That is the same for a network that
is right, but has much less chance in it where noise is large and 1 - G tiny, and it is the best variance for a network
that is not quite right too (Bao et al., ICML 2022, theorem 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Prediction, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.jump import Jump, jumps, optimal_variance
from hyperseg.dpm.samplers.sampler import Sample, Sampler
from hyperseg.dpm.samplers.stochastic.ancestral import Free, ancestral, nothing, posterior

PROBES, BATCH = 256, 64


def analytic(gammas: Mapping[float, float], free: Free) -> Sample:
    """The sampler with the given G of every noise level that it leaves.

    Raises:
        SettingError: when called, a level without G.
    """

    def total(jump: Jump, x: Tensor, said: Prediction) -> Tensor | float:
        if jump.now not in gammas:
            raise SettingError(
                f"this sampler was fitted for other noise levels than {jump.now:.6g}: fit it again for this grid."
            )
        return optimal_variance(jump, free(jump), 1 - gammas[jump.now])

    return ancestral(free, total)


def estimate_gammas(
    denoise: Denoise, data: Tensor, grid: Grid, generator: torch.Generator, *, probes: int = PROBES
) -> dict[float, float]:
    """G of every level of the grid above 0, within its bounds.

    Args:
        data: (n, C, *S) clean data; `probes` of them are drawn.

    Raises:
        SettingError: no data.
    """
    if len(data) == 0:
        raise SettingError("no data to fit the variances of a sampler on: give some clean samples.")
    order = torch.randint(len(data), (probes,), generator=generator, device=generator.device).to(data.device)
    x0, half = data[order].double(), float(data.max() - data.min()) / 2
    return {s: _gamma(denoise, x0, s, half, generator) for s in grid.sigmas.tolist() if s > 0}


def _gamma(denoise: Denoise, x0: Tensor, sigma: float, half: float, generator: torch.Generator) -> float:
    call, total = Counted(denoise), 0.0
    for some in x0.split(BATCH):
        made = call(some + sigma * noise_like(some, generator), sigma).x0
        total += float((some - made).square().sum())
    return 1 - min(total / x0.numel() / sigma**2, (half / sigma) ** 2, 1.0)


def _fit(free: Free) -> Callable[[Denoise, Tensor, Grid, Generators], Sample]:
    def fit(denoise: Denoise, data: Tensor, grid: Grid, generator: Generators) -> Sample:
        one = generator if isinstance(generator, torch.Generator) else generator[0]
        return analytic(estimate_gammas(denoise, data, grid, one), free)

    return fit


def best_variances(denoise: Denoise, data: Tensor, grid: Grid, generator: Generators) -> Tensor:
    """Variance of the step down from every level above 0, (N,): DDPM's process with the best one for all pixels."""
    one = generator if isinstance(generator, torch.Generator) else generator[0]
    gammas = estimate_gammas(denoise, data, grid, one)
    steps = [jump for jump in jumps(grid) if jump.now > 0]
    found = [float(optimal_variance(j, j.posterior, 1 - gammas[j.now])) for j in steps]
    return torch.tensor(found, dtype=grid.sigmas.dtype, device=grid.sigmas.device)


FAMILY = "training-free sampling: analytic"
SOURCE = "Bao et al., ICLR 2022"
ANALYTIC_DDPM = Sampler("analytic-ddpm", None, FAMILY, SOURCE, fit=_fit(posterior),
                       variance=best_variances)  # fmt: skip
ANALYTIC_DDIM = Sampler("analytic-ddim", None, FAMILY, SOURCE, fit=_fit(nothing))
