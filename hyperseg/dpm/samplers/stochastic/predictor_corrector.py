"""Predictor and corrector: a step of the reverse process, then Langevin steps at the new noise level.

The grid's schedule decides what that is: the same function serves VE, VP and sub-VP.

Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, algorithms
1 to 5: reverse diffusion, and a step of 2 (r |noise| / |score|)^2, times 1 - beta for VP; r = 0.16 for VE, 0.01 for VP.
Differs: norms are those of each sample, not means over a batch, so that a sample does not depend on its neighbours;
|noise| / |score| is at most 1.5 noise levels (1 is usual), as a sample of few numbers may have hardly any slope by
chance and would be thrown far off; the forward step behind the predictor is the exact one between two levels (for VE
and VP the paper's own); 1 - beta is that of the whole step; level 0 is not corrected, as its score is not defined.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, noise_like, per_sample
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.jump import Jump, jumps
from hyperseg.dpm.samplers.sampler import Sampler

RATIO_KEPT, RATIO_SCALED = 0.16, 0.01  # where the data keep their scale (VE), and where not (VP, sub-VP)
MOST = 1.5


def predictor_corrector(name: str, *, inner: int = 1, ratio: float | None = None) -> Sampler:
    """The sampler with `inner` steps of the corrector after each of the predictor; 0 leaves the predictor alone.

    Args:
        ratio: signal to noise r of the corrector; None takes the paper's for the grid's schedule.

    Raises:
        SettingError: fewer than 0 steps, or a negative ratio.
    """
    if inner < 0 or (ratio is not None and not ratio >= 0):
        raise SettingError(f"the corrector does 0 or more steps of a ratio of 0 or more, got {inner} of {ratio}.")

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        call = Counted(denoise)
        kept = bool((grid.alphas == 1).all())
        r = (RATIO_KEPT if kept else RATIO_SCALED) if ratio is None else ratio
        for jump in jumps(grid):
            x = _predicted(call, x, jump, generator)
            for _ in range(inner if jump.then > 0 else 0):
                x = _corrected(call, x, jump, r, generator)
        return Sampled(x, call.calls)

    return Sampler(name, sample, "stochastic equations", "Song et al., ICLR 2021", calls=1 + inner, saved=inner)


def _predicted(call: Counted, x: Tensor, jump: Jump, generator: Generators) -> Tensor:
    """x_t (2 - a) + G^2 score + G noise for a forward step x_t = a x + G noise, divided by the new alpha."""
    x0 = call(x, jump.now).x0
    if jump.then == 0:
        return x0
    a = jump.alpha_now / jump.alpha_then
    mean = a * (2 - a) * x + jump.forward / jump.now**2 * (x0 - x)
    return mean + math.sqrt(jump.forward) * noise_like(x, generator)


def _corrected(call: Counted, x: Tensor, jump: Jump, r: float, generator: Generators) -> Tensor:
    score = (call(x, jump.then).x0 - x) / jump.then**2
    noise = noise_like(x, generator)
    scale = (jump.alpha_now / jump.alpha_then) ** 2
    reach = (_norm(noise) / _norm(score)).clamp(max=MOST * jump.then)
    step = per_sample(2 * scale * (r * reach) ** 2, x)
    return x + step * score + (2 * step).sqrt() * noise


def _norm(x: Tensor) -> Tensor:
    """(B,) of each sample."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


PREDICTOR_CORRECTOR = predictor_corrector("predictor-corrector")
