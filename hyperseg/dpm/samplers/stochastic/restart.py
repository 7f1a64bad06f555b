"""Restart sampling: Heun's method, and from a low noise level several times up again with fresh noise.

The noise forgets errors of the way so far, as in stochastic equations; the way down has the small errors of an ordinary
one.

Source: Xu et al., "Restart Sampling for Improving Generative Processes", NeurIPS 2023, algorithm 1.
Differs: the default interval, number and length of restarts are ours; the paper chose them for each network.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.heun import heun_step
from hyperseg.dpm.samplers.sampler import Sampler

RHO = 7.0  # levels on the way down again are even in sigma^(1/rho)


def restarting(name: str, *, times: int = 2, inner: int = 3, low: float = 0.06, high: float = 0.3) -> Sampler:
    """The sampler that goes up to `high` again `times` times, each time down in `inner` steps.

    Args:
        low: where it does: at the level of the grid nearest to this one and below `high`, or the lowest above 0.

    Raises:
        SettingError: fewer than 0 restarts, no step in one, or levels that are not 0 < low < high.
    """
    if times < 0 or inner < 1 or not 0 < low < high:
        raise SettingError(
            f"restarts: 0 or more, of 1 step or more, 0 < low < high; got {times}, {inner}, {low}, {high}."
        )

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        call, sigmas = Counted(denoise), grid.sigmas.tolist()
        bottom = _bottom(sigmas, low, high)
        top = min(max(high, 2 * bottom), sigmas[0])
        for now, then in pairwise(sigmas):
            x = heun_step(call, x, now, then)
            for _ in range(times if then == bottom else 0):
                x = x + math.sqrt(top**2 - bottom**2) * noise_like(x, generator)
                for a, b in _down(top, bottom, inner):
                    x = heun_step(call, x, a, b)
        return Sampled(x, call.calls)

    return Sampler(
        name, sample, "training-free sampling: solvers", "Xu et al., NeurIPS 2023", calls=2, least=2,
        saved=1 - 2 * times * inner, spacing="karras",
    )  # fmt: skip


def _bottom(sigmas: list[float], low: float, high: float) -> float:
    """The level at which it goes up again; the first level of a grid never is."""
    inside = [s for s in sigmas[1:] if s > 0]
    if not inside:
        raise SettingError("restarts need a grid of 2 steps or more above noise 0.")
    below = [s for s in inside if s < high]
    return min(below, key=lambda s: abs(math.log(s / low))) if below else inside[-1]


def _down(top: float, bottom: float, steps: int) -> list[tuple[float, float]]:
    way = torch.linspace(top ** (1 / RHO), bottom ** (1 / RHO), steps + 1, dtype=torch.float64) ** RHO
    levels = [top, *way[1:-1].tolist(), bottom]
    return list(pairwise(levels))


RESTART = restarting("restart")
