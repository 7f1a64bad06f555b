"""Variational bounds of -log p, dimension by dimension: sums over the steps of a grid, or the integral they become.

They need no gradients, so that a call costs about half of one of `hyperseg.dpm.likelihood.flow`, and are sums over
dimensions, so that they say which band of a spectrum surprises.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Prediction, noise_like, per_sample
from hyperseg.dpm.grid import Grid, start_level
from hyperseg.dpm.jump import Jump, Variance, between, jumps, variance_of
from hyperseg.dpm.likelihood.bits import levels_of, log_gaussian, uniform_like


class Bound(NamedTuple):
    """What is said of data.

    Attributes:
        nats: (B,) float64 bound of -log p.
        nfe: how often the network was called.
        each: (B, C, *S) the share of every dimension; they sum to `nats`.
    """

    nats: Tensor
    nfe: int
    each: Tensor


@torch.no_grad()
def variational_bound(
    denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators, variance: Variance | Tensor = "small",
    bins: int | None = None,
) -> Bound:  # fmt: skip
    """-log p(x) is at most L_T + the sum of L_(t-1) + L_0, in the mean over the noise.

    L_T is exact; the others are estimated with one noise each: one network call for each level above 0. A grid that
    ends at 0 and one that ends above have the same bound: the last level is that from which the data are told.

    Args:
        x: (B, C, *S) float64.
        generator: of the noise; one, or one for each sample.
        variance: of the reverse steps, see `hyperseg.dpm.jump.variance_of`; or (N,) one for each level above 0, in the
            coordinates of a `Denoise`: the bound then tells what the sampler with these variances does. The last step,
            to no noise at all, has no small variance: "small" is then "large" too, and "share" begins at the small
            variance of the step before.
        bins: the data are that many levels between -1 and 1, and p their probability; None for a density.

    Raises:
        SettingError: fewer than two levels above 0, data that are not of so many bins, another number of variances, or
            a network that does not say the variance that is asked for.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, eq. 5 and section 3.3;
        Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021 (share).
    """
    levels = _levels(grid)
    steps = jumps(Grid(grid.schedule, torch.cat([levels, levels.new_zeros(1)])))
    given = variance.tolist() if isinstance(variance, Tensor) else []
    if isinstance(variance, Tensor) and len(given) != len(steps):
        raise SettingError(f"{len(given)} variances for {len(steps)} noise levels above 0: give one for each of them.")
    if bins is not None:
        levels_of(x, bins)  # or raise
    call, each = Counted(denoise), prior_nats(grid, x)
    for i, jump in enumerate(steps):
        state = x + jump.now * noise_like(x, generator)
        said = call(state, jump.now)
        if isinstance(variance, Tensor):
            value = given[i]
        elif jump.then > 0:
            value = variance_of(variance, jump, state, said)
        else:
            value = _last_variance(variance, jump, steps[i - 1], state, said)
        var = value if isinstance(value, Tensor) else x.new_full((), value)
        if jump.then > 0:
            least, gap = jump.posterior, jump.added / jump.now**2 * (x - said.x0)
            each = each + ((var / least).log() + (least + gap**2) / var - 1) / 2
        else:
            each = each - log_gaussian(x, said.x0, var, bins)
    return Bound(each.flatten(1).sum(1), call.calls, each)


@torch.no_grad()
def continuous_bound(
    denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators, bins: int | None = None
) -> Bound:
    """The limit of `variational_bound` for ever more steps, whatever the grid: it only says where noise is drawn.

    Between the ends of the grid it is the integral of half the squared error of x0 over the signal-to-noise ratio, and
    with a perfect denoiser it is -log p itself. Every sample draws one level for each step of the grid, all as far
    behind its begin, and noise that is used with both signs: two calls for each level above 0. The mean is right with
    any number of steps.

    Args:
        x, generator, bins: as for `variational_bound`.

    Raises:
        SettingError: fewer than two levels above 0.

    Source: Kingma et al., "Variational Diffusion Models", NeurIPS 2021, eq. 11 to 17 and appendix I.1.
    """
    levels = _levels(grid).to(x.device)
    logs, low = levels.log(), float(levels[-1])
    if bins is not None:
        levels_of(x, bins)  # or raise
    call, each = Counted(denoise), prior_nats(grid, x)
    share = uniform_like(torch.zeros_like(x.flatten(1)[:, 0]), generator)
    for above, below in pairwise(logs):
        level, noise = (above + share * (below - above)).exp(), noise_like(x, generator)
        for eps in (noise, -noise):
            t = per_sample(level, x)
            error = (x - call(x + t * eps, level).x0) / t
            each = each + (above - below) / 2 * error**2
    noise = noise_like(x, generator)
    for eps in (noise, -noise):
        each = each - log_gaussian(x, call(x + low * eps, low).x0, levels[-1] ** 2, bins) / 2
    return Bound(each.flatten(1).sum(1), call.calls, each)


def _levels(grid: Grid) -> Tensor:
    """Noise levels above 0."""
    levels = grid.sigmas[grid.sigmas > 0]
    if len(levels) < 2:
        raise SettingError("a bound needs a grid of two or more noise levels above 0: ask for more steps.")
    return levels


def prior_nats(grid: Grid, x: Tensor) -> Tensor:
    """(B, C, *S) L_T in nats: the noised data at the first level, against the noise that sampling starts from."""
    sigma, own = float(grid.sigmas[0]), start_level(grid)
    return ((x**2 + sigma**2) / own**2 - 1) / 2 - math.log(sigma / own)


def _last_variance(name: Variance, jump: Jump, before: Jump, x: Tensor, said: Prediction) -> Tensor | float:
    """The variance with which the data are told, where nothing of the noise is left."""
    match name:
        case "small":
            return jump.forward
        case "share":
            return between(jump.forward * before.added / before.now**2, jump.forward, said)
        case "squared" | "residual":
            # that of single pixels may come out at nothing by an error of the head, and then decides about all bits
            told = variance_of(name, jump, x, said)
            own = torch.as_tensor(told, dtype=x.dtype, device=x.device).expand_as(x)
            return own.maximum(per_sample(own.flatten(1).mean(1), x))
        case _:
            return variance_of(name, jump, x, said)
