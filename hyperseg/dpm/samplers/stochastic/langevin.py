"""Annealed Langevin dynamics: at every noise level some steps along the score with noise, then the next level.

In the coordinates of a `Denoise` the score is (x0 - x) / s^2 whatever the schedule, so that one step is
x + rate / 2 (x0 - x) + sqrt(rate) s noise, where rate is the step size divided by s^2.

Source: Song & Ermon, "Generative Modeling by Estimating Gradients of the Data Distribution", NeurIPS 2019, algorithm 1:
step size 2e-5 at noise 0.01, that is rate 0.2, 100 steps a level; "Improved Techniques for Training Score-Based
Generative Models", NeurIPS 2020, techniques 3 and 4: few steps a level, and the rate from the distance of levels.
Differs: on a grid that ends at 0 one more call takes the clean data as they are predicted at the last level, as
Jolicoeur-Martineau et al., "Adversarial score matching and improved sampling", ICLR 2021, do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler

RATE = 0.2  # of the paper: 2e-5 / 0.01^2


def annealed_langevin(name: str, *, inner: int, rate: float | None = RATE) -> Sampler:
    """The sampler with `inner` steps at every level.

    On a grid that ends at 0 the levels are those above it; else all but the first, where x already is.

    Args:
        rate: step size divided by the square of the noise, above 0 and below 2; None finds it for each grid, see
            `rate_between`.

    Raises:
        SettingError: no inner step, or a rate outside (0, 2), where the steps would not settle.
    """
    if inner < 1 or (rate is not None and not 0 < rate < 2):
        raise SettingError(f"Langevin steps: 1 or more of a rate between 0 and 2, got {inner} of {rate}.")

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        call, sigmas = Counted(denoise), grid.sigmas.tolist()
        ends = sigmas[-1] == 0
        levels = sigmas[:-1] if ends else sigmas[1:]
        pace = rate_between(levels, inner) if rate is None else rate
        for level in levels:
            for _ in range(inner):
                x = x + pace / 2 * (call(x, level).x0 - x) + math.sqrt(pace) * level * noise_like(x, generator)
        return Sampled(call(x, levels[-1]).x0 if ends else x, call.calls)

    return Sampler(
        name, sample, "score matching", "Song & Ermon, NeurIPS 2019 and 2020", calls=inner, saved=-1, spacing="lu"
    )


def rate_between(levels: list[float], inner: int) -> float:
    """The rate with which `inner` steps bring noise best from one level to the next, levels being a geometric row.

    On data that are one point the variance after them, in units of the new level, is
    (1 - rate / 2)^(2 inner) (ratio^2 - c) + c with c = rate / (1 - (1 - rate / 2)^2): its minimum is taken, the nearest
    it comes to 1.

    Source: Song & Ermon, NeurIPS 2020, technique 4.
    """
    if len(levels) < 2:
        return RATE
    ratio = (levels[0] / levels[-1]) ** (1 / (len(levels) - 1))
    rates = torch.logspace(-6, 0, 2001, dtype=torch.float64)
    settled = rates / (1 - (1 - rates / 2) ** 2)
    variance = (1 - rates / 2) ** (2 * inner) * (ratio**2 - settled) + settled
    return float(rates[variance.argmin()])


NCSN = annealed_langevin("ncsn", inner=100)
NCSN_V2 = annealed_langevin("ncsn-v2", inner=5, rate=None)
