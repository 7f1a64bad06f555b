"""One reverse step between two noise levels, in the coordinates of a `Denoise`, and the loop of all ancestral samplers.

Divided by alpha, a process x_t = alpha x0 + std noise only adds noise: from level s' to level s > s' normal noise of
variance s^2 - s'^2. Given x0 and the state at s, the state at s' is normal with mean x0 + (s'^2 / s^2) (x - x0) and
variance s'^2 (1 - s'^2 / s^2), which is DDPM's posterior whatever alpha is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Prediction, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import Sample


@dataclass(frozen=True)
class Jump:
    """A step from noise level `now` down to `then`, and the schedule's alpha at both."""

    now: float
    then: float
    alpha_now: float
    alpha_then: float

    @property
    def added(self) -> float:
        """Variance that the way up adds, s^2 - s'^2."""
        return (self.now - self.then) * (self.now + self.then)

    @property
    def posterior(self) -> float:
        """Variance of the step down given x0: DDPM's small one."""
        return self.then**2 * self.added / self.now**2

    @property
    def forward(self) -> float:
        """DDPM's large variance: what one step up adds to x_t (its beta), seen at the level below."""
        return (self.alpha_now / self.alpha_then) ** 2 * self.added


def jumps(grid: Grid) -> list[Jump]:
    """The steps of a grid, from noise to data."""
    sigmas, alphas = grid.sigmas.tolist(), grid.alphas.tolist()
    return [Jump(*four) for four in zip(sigmas, sigmas[1:], alphas, alphas[1:], strict=False)]


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


def posterior(jump: Jump) -> float:
    """`Jump.posterior` as a function: the `free` variance of DDPM's process."""
    return jump.posterior


def nothing(jump: Jump) -> float:
    """The `free` variance of DDIM's process: none."""
    return 0.0
