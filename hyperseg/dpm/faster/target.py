"""What a student with fewer steps has to say: the clean data that make its one step the teacher's several."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise, per_sample


def step(x: Tensor, x0: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """DDIM's step without noise from level `now` (B,) to `then` (B,), where x0 are the clean data."""
    return x0 + per_sample(then / now, x) * (x - x0)


def follow(denoise: Denoise, x: Tensor, levels: Tensor) -> Tensor:
    """The teacher's steps.

    Args:
        denoise: the teacher.
        x: (B, C, *S) at the first level.
        levels: (k + 1, B) falling noise levels of k steps; the last may be 0.

    Returns:
        (B, C, *S) at the last level.
    """
    for now, then in pairwise(levels):
        x = step(x, denoise(x, now).x0, now, then)
    return x


def wanted(x: Tensor, reached: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """The x0 with which one `step` from `now` to `then` ends where the teacher ended.

    It is a weighted mean of what the teacher took for clean data on its way, so it lies within the teacher's bounds.

    Args:
        x: (B, C, *S) at level `now`.
        reached: (B, C, *S) at level `then`, from `follow`.
        now, then: (B,), `then` may be 0.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022, appendix G; in
        the coordinates of a `Denoise` the step is a straight line.
    """
    share = per_sample(then / now, x)
    return (reached - share * x) / (1 - share)


def truncated_snr(sigma: Tensor) -> Tensor:
    """max(SNR, 1), the weight of a squared error of x0: with little noise one of eps, with much noise one of x0.

    Source: Salimans & Ho 2022, section 4.
    """
    return torch.clamp(sigma**-2, min=1)
