"""The reverse equation dx = (f - g^2 score) dt + g dw, step by step (Euler and Maruyama).

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, eq. 6.
"""

from __future__ import annotations

import math

from torch import Tensor

from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.jump import jumps
from hyperseg.dpm.samplers.sampler import Sampler


def reverse_sde(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
    """One step between two times of the grid, the schedule's f and g as at the first; see `Sample`.

    A step to level 0 takes the clean data as they are predicted and adds nothing.
    """
    call, times = Counted(denoise), grid.times
    drifts, squares = grid.schedule.drift(times).tolist(), grid.schedule.diffusion(times).tolist()
    lasting = (times[:-1] - times[1:]).tolist()
    for jump, f, g2, dt in zip(jumps(grid), drifts, squares, lasting, strict=False):
        x0 = call(x, jump.now).x0
        if jump.then == 0:
            x = x0
            continue
        # in x_t = alpha x: x_t (1 - f dt) + g2 dt (x0 - x) / (alpha s^2) + sqrt(g2 dt) noise, divided by the new alpha
        a, b = jump.alpha_now, jump.alpha_then
        x = a / b * (1 - f * dt) * x + g2 * dt / (a * b * jump.now**2) * (x0 - x)
        x = x + math.sqrt(g2 * dt) / b * noise_like(x, generator)
    return Sampled(x, call.calls)


REVERSE_SDE = Sampler(
    "reverse-sde", reverse_sde, "stochastic equations", "Song et al., ICLR 2021"
)  # fmt: skip
