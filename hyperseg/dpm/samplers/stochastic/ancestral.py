"""The loop of all ancestral samplers: the predicted clean data, a share of the noise, and fresh noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Prediction, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.jump import Jump, Variance, jumps, variance_of
from hyperseg.dpm.samplers.sampler import Sample

Free = Callable[[Jump], float]
Total = Callable[[Jump, Tensor, Prediction], "Tensor | float"]


def ancestral(free: Free, total: Total) -> Sample:
    """The sampler x' = x0 + sqrt(s'^2 - free) / s (x - x0) + sqrt(total) noise.

    A step to level 0 takes the clean data as they are predicted and adds nothing.

    Args:
        free: jump -> variance that the reverse process has given x0: 0 is DDIM's, `Jump.posterior` is DDPM's.
        total: (jump, x, prediction) -> variance of the noise that is added, a number or (B, C, *S).

    Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, eq. 7 (the family of processes).
    """

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        call = Counted(denoise)
        for jump in jumps(grid):
            said = call(x, jump.now)
            mean = said.x0 + math.sqrt(jump.then**2 - free(jump)) / jump.now * (x - said.x0)
            variance = total(jump, x, said) if jump.then > 0 else 0.0
            quiet = isinstance(variance, float) and variance == 0
            x = mean if quiet else mean + variance**0.5 * noise_like(x, generator)
        return Sampled(x, call.calls)

    return sample


def ddpm_with(variance: Variance) -> Sample:
    """DDPM's process with one of the variances of `hyperseg.dpm.jump.variance_of`."""
    return ancestral(posterior, partial(variance_of, variance))


def posterior(jump: Jump) -> float:
    """`Jump.posterior` as a function: the `free` variance of DDPM's process."""
    return jump.posterior


def nothing(jump: Jump) -> float:
    """The `free` variance of DDIM's process: none."""
    return 0.0
