"""DPM-Solver-2: the slope is taken half-way, on the logarithm of the noise (also known as KDPM2).

Source: Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps",
NeurIPS 2022, algorithm 1 with r = 1/2; in the coordinates of a `Denoise` it is the midpoint method.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler


def midpoint(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """Order 2; a step to 0, which has no such midpoint, is Euler's. See `Sample`."""
    call, levels = Counted(denoise), grid.sigmas.tolist()
    for now, then in pairwise(levels):
        x0 = call(x, now).x0
        if then == 0:
            x = x0
            continue
        half = (now * then) ** 0.5
        middle = torch.lerp(x0, x, half / now)
        x = x.add(middle - call(middle, half).x0, alpha=(then - now) / half)
    return Sampled(x, call.calls)


DPM_SOLVER_2 = Sampler(
    "dpm-solver-2", midpoint, family="training-free sampling: solvers", source="Lu et al., NeurIPS 2022", calls=2,
    saved=1, order=2,
)  # fmt: skip
