"""The probability-flow equation by the classical method of Runge and Kutta: the reference for all other solvers.

Its variable is the angle, sigma = tan(angle), and its state y = cos(angle) x, of about the same size everywhere: then
dy/d(angle) = cos(angle) noise - sin(angle) x0, a velocity without large numbers.

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, for the
equation.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler


def runge_kutta(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """Order 4, four calls a step; a step to 0, where the noise cannot be told, is Euler's. See `Sample`."""
    call, levels = Counted(denoise), grid.sigmas.tolist()

    def velocity(angle: float, y: Tensor) -> Tensor:
        sigma = math.tan(angle)
        state = y / math.cos(angle)
        x0 = call(state, sigma).x0
        return math.cos(angle) * (state - x0) / sigma - math.sin(angle) * x0

    for now, then in pairwise(levels):
        if then == 0:
            x = call(x, now).x0
            continue
        begin, end = math.atan(now), math.atan(then)
        step, half = end - begin, (begin + end) / 2
        y = math.cos(begin) * x
        k1 = velocity(begin, y)
        k2 = velocity(half, y + step / 2 * k1)
        k3 = velocity(half, y + step / 2 * k2)
        k4 = velocity(end, y + step * k3)
        x = (y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)) / math.cos(end)
    return Sampled(x, call.calls)


PF_ODE = Sampler(
    "pf-ode", runge_kutta, family="unification: score-based equations", source="Song et al., ICLR 2021", calls=4,
    saved=3, order=4,
)  # fmt: skip
