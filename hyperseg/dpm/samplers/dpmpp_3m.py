"""DPM-Solver++(3M): three steps of memory, one call a step.

As DPM-Solver++(2M); clean data go into the integral as a parabola through the last three predictions.

Source: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022.
Differs: the integral of the parabola is exact. The first step is corrected once there is a prediction at its end, as
    Euler's alone would leave an error of order 2 behind; that prediction is kept, so it costs no call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler

Known = tuple[float, Tensor]
"""A noise level, and the clean data that were predicted there."""


def dpmpp_3m(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """Order 3, one call a step; a step to 0 is of order 1. See `Sample`."""
    call, levels = Counted(denoise), grid.sigmas.tolist()
    known: list[Known] = []  # newest first
    for now, then in pairwise(levels):
        if not known or known[0][0] != now:
            known = [(now, call(x, now).x0), *known[:2]]
        ahead = _advanced(x, now, then, known)
        if len(known) == 1 and len(levels) > 2:  # the first step, with a second to come
            known = [(then, call(ahead, then).x0), *known]
            ahead = _advanced(x, now, then, known)
        x = ahead
    return Sampled(x, call.calls)


def _advanced(x: Tensor, now: float, then: float, known: Sequence[Known]) -> Tensor:
    """The state at `then` from x at `now`, x0 the polynomial in -log sigma through what is `known` (one to three)."""
    if then == 0:
        return known[0][1]  # the newest is at `now`
    h = math.log(now / then)
    moments = [1 - then / now]  # then / now * integral of exp(l) l^k from 0 to h, l counted from `now`
    for k in range(1, len(known)):
        moments.append(h**k - k * moments[-1])
    nodes = [math.log(now / level) for level, _ in known]
    weights = np.linalg.solve(np.vander(nodes, increasing=True).T, moments)  # exact for as many powers as are known
    ahead = then / now * x
    for weight, (_, x0) in zip(weights.tolist(), known, strict=True):
        ahead = ahead.add_(x0, alpha=weight)
    return ahead


DPMPP_3M = Sampler(
    "dpmpp-3m", dpmpp_3m, family="training-free sampling: solvers", source="Lu et al., 2022 (DPM-Solver++)", order=3,
    memory=True,
)  # fmt: skip
