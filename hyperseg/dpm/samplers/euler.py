"""Euler's method on the probability-flow equation, which is DDIM without noise.

Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, eq. 12 with sigma = 0; in the coordinates of a
`Denoise` its step is Euler's.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sampler


def euler(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """x moves towards the predicted clean data by the share of noise that goes away; see `Sample`."""
    call = Counted(denoise)
    for now, then in pairwise(grid.sigmas.tolist()):
        x = torch.lerp(call(x, now).x0, x, then / now)
    return Sampled(x, call.calls)


EULER = Sampler(
    "ddim", euler, family="training-free sampling: implicit", source="Song et al., ICLR 2021", order=1,
)  # fmt: skip
