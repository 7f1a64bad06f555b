"""Heun's method on the probability-flow equation: Euler's step, and again with the mean of the slopes at both ends.

Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, algorithm 1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler


def heun(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """Order 2; see `Sample`."""
    call = Counted(denoise)
    for now, then in pairwise(grid.sigmas.tolist()):
        x = heun_step(call, x, now, then)
    return Sampled(x, call.calls)


def heun_step(call: Counted, x: Tensor, now: float, then: float) -> Tensor:
    """From level `now` to `then`: 2 calls; to 0, where there is no slope, 1 call and Euler's step."""
    x0 = call(x, now).x0
    ahead = torch.lerp(x0, x, then / now)
    if then == 0:
        return ahead
    half, last = (then - now) / 2, call(ahead, then).x0
    # half of each slope; as few operations as can be, they cost as much as small networks do
    return x.add(x - x0, alpha=half / now).add_(ahead - last, alpha=half / then)


HEUN = Sampler(
    "heun", heun, family="training-free sampling: solvers", source="Karras et al., NeurIPS 2022", calls=2, saved=1,
    order=2, spacing="karras",
)  # fmt: skip
