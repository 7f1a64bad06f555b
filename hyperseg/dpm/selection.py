"""Which noise levels to visit with so many steps: those with the smallest variational bound, by dynamic programming.

The bound of -log p is a sum over the steps of a grid, so that the best grid of K steps follows from the best of K - 1.
Best in the bound is not best in looks: Frechet distances of samples may well be smaller on another grid.

Source: Watson et al., "Learning to Efficiently Sample from Diffusion Probabilistic Models", 2021, algorithm 1.
Differs: a step from level t to s costs (1/s^2 - 1/t^2) / 2 times the squared error of x0 at t, so that one error for
each level is enough for all steps; the errors are measured at 100 levels and interpolated; the last step tells the data
with the variance of its own error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, noise_like
from hyperseg.dpm.grid import Grid, make_grid
from hyperseg.dpm.likelihood.bound import prior_nats
from hyperseg.dpm.schedules.schedule import Schedule

Variance = Literal["small", "best"]
MEASURED, LEAST, BATCH = 100, 200, 64


class Selected(NamedTuple):
    """A grid, and the variational bound of -log p of a sample on it, in nats."""

    grid: Grid
    nats: float


def select_steps(
    denoise: Denoise, data: Tensor, schedule: Schedule, steps: int, *, generator: Generators,
    candidates: Tensor | int | None = None, variance: Variance = "small", bins: int | None = None,
) -> Grid:  # fmt: skip
    """The grid of `steps` steps from the schedule's noise to 0 with the smallest bound; see `select_grids`."""
    found = select_grids(
        denoise, data, schedule, [steps], generator=generator, candidates=candidates, variance=variance, bins=bins
    )
    return found[steps].grid


def select_grids(
    denoise: Denoise, data: Tensor, schedule: Schedule, steps: Sequence[int], *, generator: Generators,
    candidates: Tensor | int | None = None, variance: Variance = "small", bins: int | None = None,
) -> dict[int, Selected]:  # fmt: skip
    """The best grid and its bound for every number of steps, from one measurement of the network's errors.

    Args:
        data: (n, C, *S) clean data that the bound is of; some tens are enough.
        generator: of the noise, the same at every level; one, or one for each sample.
        candidates: (T,) falling noise levels above 0 to choose from, the first being where sampling starts; or how many
            even in log(noise); None takes 200, or twice as many as steps.
        variance: of the steps, "small" for DDPM's, "best" for Analytic-DPM's.
        bins: the data are that many even levels between -1 and 1; None where they are continuous.

    Raises:
        SettingError: no data, no steps or more than candidates, candidates that do not fall, unknown variance.
    """
    if len(data) == 0 or not steps or min(steps) < 1:
        raise SettingError(f"steps are selected on 1 sample or more and number 1 or more, got {len(data)}, {steps}.")
    wanted = max(LEAST, 2 * max(steps)) if candidates is None else candidates
    levels = wanted.cpu() if isinstance(wanted, Tensor) else _even(schedule, wanted)
    Grid(schedule, levels.double())  # or raise
    if max(steps) > len(levels):
        raise SettingError(f"{max(steps)} steps of {len(levels)} candidates: ask for fewer, or give more candidates.")
    known = levels if isinstance(wanted, Tensor) or wanted <= MEASURED else _even(schedule, MEASURED)
    errors = _between(known, measure_errors(denoise, data, known, generator=generator), levels)
    costs = jump_costs(levels, errors, data[0].numel(), variance=variance, bins=bins)
    before = float(prior_nats(Grid(schedule, levels.double()), data.double()).flatten(1).sum(1).mean())
    found = {}
    for k, (points, nats) in cheapest_paths(costs, max(steps)).items():
        if k in steps:
            sigmas = torch.cat([levels.double(), torch.zeros(1, dtype=torch.float64)])[points]
            found[k] = Selected(Grid(schedule, sigmas, "selected"), nats + before)
    return found


def measure_errors(denoise: Denoise, data: Tensor, sigmas: Tensor, *, generator: Generators) -> Tensor:
    """(T,) mean squared error of x0 at every noise level, for each dimension of the data, the same noise at all.

    The noise is scaled to a mean square of exactly 1: where there is little noise the error is the noise, and a bound
    that sums hundreds of nats of it would be off by as many percent as the draw is.
    """
    call, x0 = Counted(denoise), data.double()
    noise, errors = noise_like(x0, generator), []
    noise = noise / noise.square().mean().sqrt()
    with torch.no_grad():
        for s in sigmas.tolist():
            pairs = zip(x0.split(BATCH), noise.split(BATCH), strict=True)
            errors.append(sum(float((call(x + s * z, s).x0 - x).square().sum()) for x, z in pairs) / x0.numel())
    return torch.tensor(errors, dtype=torch.float64)


def jump_costs(
    sigmas: Tensor, errors: Tensor, dims: int, *, variance: Variance = "small", bins: int | None = None
) -> Tensor:
    """(T + 1, T + 1) nats of a step from level i down to level j > i, the last level being the data; else infinite.

    Args:
        sigmas: (T,) falling, above 0.
        errors: (T,) mean squared error of x0 for each dimension.
        dims: of one sample.

    Raises:
        SettingError: unknown variance.
    """
    signal = sigmas.double() ** -2
    gained = (signal[None] - signal[:, None]) * errors[:, None]
    match variance:
        case "small":
            inside = dims / 2 * gained
        case "best":
            inside = dims / 2 * gained.clamp(min=0).log1p()
        case _:
            raise SettingError(f"the variance of steps is small or best, got {variance!r}.")
    width = 0.0 if bins is None else 2 / (bins - 1)
    # a value within its bin is spread evenly: the density of the spread values bounds the probability of the bin
    last = dims / 2 * (2 * math.pi * math.e * (errors + width**2 / 12)).log() - dims * math.log(width or 1)
    costs = torch.full((len(sigmas) + 1, len(sigmas) + 1), math.inf, dtype=torch.float64)
    costs[:-1, :-1] = torch.where(signal[None] > signal[:, None], inside, costs[:-1, :-1])
    costs[:-1, -1] = last
    return costs


def cheapest_paths(costs: Tensor, most: int) -> dict[int, tuple[list[int], float]]:
    """For every number of steps up to `most`: the points of the cheapest way from the first to the last, and its cost.

    Args:
        costs: (P, P), infinite where there is no step.
    """
    total = torch.full((len(costs),), math.inf, dtype=costs.dtype)
    total[0] = 0
    came, found = [], {}
    for k in range(1, most + 1):
        total, where = (total[:, None] + costs).min(0)
        came.append(where)
        points = [len(costs) - 1]
        for step in reversed(came):
            points.append(int(step[points[-1]]))
        found[k] = (points[::-1], float(total[-1]))
    return found


def _even(schedule: Schedule, count: int) -> Tensor:
    if count < 2:
        raise SettingError(f"steps are selected of two candidates or more, got {count}.")
    return make_grid(schedule, count - 1, zero=False).sigmas


def _between(known: Tensor, errors: Tensor, wanted: Tensor) -> Tensor:
    """Errors at other levels, straight lines between the known ones on logarithmic scales."""
    if known is wanted:
        return errors
    x, y, at = -known.log(), errors.clamp(min=1e-300).log(), -wanted.log()
    right = torch.searchsorted(x, at).clamp(1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return (y[right - 1] + share * (y[right] - y[right - 1])).exp()
