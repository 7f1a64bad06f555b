"""One step back of a process of few steps, and pairs of neighbouring states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.dpm.denoise import per_sample


class Posterior(NamedTuple):
    """The Gaussian of a state, given a noisier one and clean data: (B, C, *S) mean and (B, 1, ..., 1) deviation."""

    mean: Tensor
    std: Tensor


def posterior(x: Tensor, x0: Tensor, now: Tensor, then: Tensor) -> Posterior:
    """q(x at level `then` | x at level `now`, x0).

    Args:
        x: (B, C, *S) clean data and `now` times noise.
        x0: (B, C, *S) clean data.
        now, then: (B,) noise levels, `then` the smaller; at 0 it is x0 itself.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, eq. 7; in the coordinates of a
        `Denoise`, for steps of any size.
    """
    share = per_sample((then / now) ** 2, x)
    return Posterior(x0 + share * (x - x0), per_sample(then, x) * (1 - share).sqrt())


def pair(x0: Tensor, now: Tensor, then: Tensor, noises: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """States of real data at the levels `then` and `now`, the second made from the first by adding noise."""
    before = x0 + per_sample(then, x0) * noises[0]
    added = torch.sqrt(now**2 - then**2)
    return before, before + per_sample(added, x0) * noises[1]
