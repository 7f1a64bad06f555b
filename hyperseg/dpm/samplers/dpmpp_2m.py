"""DPM-Solver++(2M): two steps of memory, one call a step.

With l = -log sigma a step from sigma a to c is x' = c/a x + c * (integral of exp(l) x0(l) dl): what is linear is exact,
and clean data predicted a step ago tell how they change.

Source: Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler


def dpmpp_2m(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """Order 2; the first step, and a step to 0, are Euler's. See `Sample`."""
    call, levels = Counted(denoise), grid.sigmas.tolist()
    before: tuple[float, Tensor] | None = None  # a level, and the clean data predicted there
    for now, then in pairwise(levels):
        found = x0 = call(x, now).x0
        if before is not None and then:
            ratio = math.log(before[0] / now) / math.log(now / then)
            x0 = torch.lerp(before[1], found, 1 + 1 / (2 * ratio))
        x, before = torch.lerp(x0, x, then / now), (now, found)
    return Sampled(x, call.calls)


DPMPP_2M = Sampler(
    "dpmpp-2m", dpmpp_2m, family="training-free sampling: solvers", source="Lu et al., 2022 (DPM-Solver++)", order=2,
    memory=True,
)  # fmt: skip
