"""Variational bounds of -log p, dimension by dimension: sums over the steps of a grid, or the integral they become.

They need no gradients, so that a call costs about half of one of `hyperseg.dpm.likelihood.flow`, and are sums over
dimensions, so that they say which band of a spectrum surprises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, noise_like, per_sample
from hyperseg.dpm.grid import Grid, start_level
from hyperseg.dpm.likelihood.bits import levels_of, single, uniform_like
from hyperseg.dpm.likelihood.reverse import Variance, log_gaussian, reverse_step


class Bound(NamedTuple):
    """What is said of data.

    Attributes:
        nats: (B,) float64 bound of -log p.
        nfe: how often the network was called.
        error: (B,) standard error of `nats` over the repeats; not a number with one.
        each: (B, C, *S) the share of every dimension; they sum to `nats`.
    """

    nats: Tensor
    nfe: int
    error: Tensor
    each: Tensor


def variational_bound(
    denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators, variance: Variance = "small",
    bins: int | None = None, terms: int | None = None, repeats: int = 1, antithetic: bool = False,
    shared: bool = False,
) -> Bound:  # fmt: skip
    """-log p(x) is at most L_T + the sum of L_(t-1) + L_0, in the mean over the noise.

    L_T is exact; the others are estimated with one noise each: one network call for each level above 0. A grid that
    ends at 0 and one that ends above have the same bound: the last level is that from which the data are told.

    Args:
        x: (B, C, *S) float64.
        generator: of noise and steps; one, or one for each sample.
        variance: of the reverse steps, see `reverse_step`; or (N,) one for each level above 0, in the coordinates of a
            `Denoise`: the bound then tells what the sampler with these variances does.
        bins: the data are that many levels between -1 and 1, and p their probability; None for a density.
        terms: so many of the steps are drawn at random for each sample, evenly spread; None takes all.
        repeats: estimates to take the mean of.
        antithetic: noise goes in pairs of opposite sign; repeats are then even.
        shared: all samples get the same noise at the same steps (of one generator). Each bound is as right as before,
            and their differences are far more so: for maps and rankings.

    Raises:
        SettingError: fewer than two levels above 0, data that are not of so many bins, no terms or repeats, an odd
            number of antithetic ones, or a network that does not say the variance that is asked for.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, eq. 5 and section 3.3;
        Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021 (share).
    """
    levels, alphas = _levels(grid)
    sigmas = levels.tolist()
    if bins is not None:
        levels_of(x, bins)  # or raise

    def kl(call: Counted, noise: Tensor, place: Tensor) -> Tensor:
        i = place.floor().long().clamp(max=len(levels) - 2)
        t, s, fade = (per_sample(v, x) for v in (levels[i], levels[i + 1], alphas[i] / alphas[i + 1]))
        given = per_sample(variance[i], x) if isinstance(variance, Tensor) else variance
        told = call(x + t * noise, levels[i])
        least, var = reverse_step(told, x + t * noise, t, s, fade, given)
        gap = (1 - (s / t) ** 2) * (x - told.x0)
        return ((var / least).log() + (least + gap**2) / var - 1) / 2

    if isinstance(variance, Tensor) and len(variance) != len(levels):
        raise SettingError(
            f"{len(variance)} variances for {len(levels)} noise levels above 0: give one for each of them."
        )

    def last(call: Counted, noise: Tensor) -> Tensor:
        t = sigmas[-1]
        told = call(x + t * noise, t)
        given = variance[-1] if isinstance(variance, Tensor) else variance
        _, var = reverse_step(told, x + t * noise, levels[-1], None, alphas[-1], given, before=sigmas[-2])
        return -log_gaussian(x, told.x0, var, bins)

    return _estimate(denoise, x, grid, kl, last, generator, terms, repeats, antithetic, shared)


def continuous_bound(
    denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators, bins: int | None = None,
    terms: int | None = None, repeats: int = 1, antithetic: bool = False,
    shared: bool = False,
) -> Bound:  # fmt: skip
    """The limit of `variational_bound` for ever more steps, whatever the grid: it only says where noise is drawn.

    Between the ends of the grid it is the integral of half the squared error of x0 over the signal-to-noise ratio, and
    with a perfect denoiser it is -log p itself. The mean is right with any number of terms.

    Args:
        terms: noise levels for each sample, evenly spread over the grid from a random start; None for as many as it has
            steps.
        shared: as for `variational_bound`; so that no chance is an error of all, levels are in the middle of even parts
            of the grid, and noise has the length that it has in the mean, the root of the number of dimensions: right
            where the denoiser is smooth and dimensions are many. The rest as for `variational_bound`.

    Source: Kingma et al., "Variational Diffusion Models", NeurIPS 2021, eq. 11 to 17 and appendix I.1.
    """
    levels, _ = _levels(grid)
    logs, sigmas = levels.log(), levels.tolist()
    if bins is not None:
        levels_of(x, bins)  # or raise

    def rate(call: Counted, noise: Tensor, place: Tensor) -> Tensor:
        i = place.floor().long().clamp(max=len(levels) - 2)
        t = (logs[i] + (place - i) * (logs[i + 1] - logs[i])).exp()
        error = (x - call(x + per_sample(t, x) * noise, t).x0) / per_sample(t, x)
        return per_sample(logs[i] - logs[i + 1], x) * error**2

    def last(call: Counted, noise: Tensor) -> Tensor:
        x0 = call(x + sigmas[-1] * noise, sigmas[-1]).x0
        return -log_gaussian(x, x0, levels[-1] ** 2, bins)

    count = terms or len(levels) - 1
    return _estimate(denoise, x, grid, rate, last, generator, count, repeats, antithetic, shared, even=shared)


def _levels(grid: Grid) -> tuple[Tensor, Tensor]:
    """Noise levels above 0 and their alphas."""
    levels = grid.sigmas[grid.sigmas > 0]
    if len(levels) < 2:
        raise SettingError("a bound needs a grid of two or more noise levels above 0: ask for more steps.")
    return levels, grid.alphas[: len(levels)]


def _estimate(
    denoise: Denoise, x: Tensor, grid: Grid, term: Callable[[Counted, Tensor, Tensor], Tensor],
    last: Callable[[Counted, Tensor], Tensor], generator: Generators, terms: int | None, repeats: int, antithetic: bool,
    shared: bool, *, even: bool = False,
) -> Bound:  # fmt: skip
    """L_T, the terms at places between 0 and the number of steps, and the last term; the mean over repeats."""
    if repeats < 1 or (terms is not None and terms < 1) or (antithetic and repeats % 2):
        raise SettingError(
            f"a bound has at least 1 term and 1 repeat, and an even number of antithetic repeats; "
            f"got {terms} terms and {repeats} repeats."
        )
    call, steps, draws = Counted(denoise), int((grid.sigmas > 0).sum()) - 1, []
    sigma, prior = float(grid.sigmas[0]), start_level(grid)
    first = ((x**2 + sigma**2) / prior**2 - 1) / 2 - math.log(sigma / prior)
    total = torch.zeros_like(x)
    with torch.no_grad():
        for _ in range(repeats // 2 if antithetic else repeats):
            count, one = terms or steps, single(x, generator) if shared else x
            begin = 0 * one.flatten(1)[:, 0] + even / 2
            if terms is not None and not even:
                begin = uniform_like(begin, generator)
            found = torch.zeros_like(x)
            for j in range(count + 1):
                noise, place = noise_like(one, generator), (begin + j) * (steps / count)
                if even:
                    noise = noise * (noise[0].numel() ** 0.5 / noise.norm())
                for signed in (noise, -noise)[: 1 + antithetic]:
                    eps = signed.expand_as(x)
                    value = last(call, eps) if j == count else term(call, eps, place.expand(len(x))) * (steps / count)
                    found = found + value / (1 + antithetic)
            draws.append(found.flatten(1).sum(1))
            total = total + found
    each, spread = first + total / len(draws), torch.stack(draws)
    error = spread.std(0) / len(draws) ** 0.5 if len(draws) > 1 else spread[0] * math.nan
    return Bound(each.flatten(1).sum(1), call.calls, error, each)
