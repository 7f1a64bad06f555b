"""What a student with fewer steps has to say: the clean data that make its one step the teacher's several."""

from __future__ import annotations

from torch import Tensor

from hyperseg.dpm.denoise import per_sample


def step(x: Tensor, x0: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """DDIM's step without noise from level `now` (B,) to `then` (B,), where x0 are the clean data."""
    return x0 + per_sample(then / now, x) * (x - x0)


def wanted(x: Tensor, reached: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """The x0 with which one `step` from `now` to `then` ends where the teacher ended.

    It is a weighted mean of what the teacher took for clean data on its way, so it lies within the teacher's bounds.

    Args:
        x: (B, C, *S) at level `now`.
        reached: (B, C, *S) at level `then`, where the teacher came to.
        now, then: (B,), `then` may be 0.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022, appendix G; in
        the coordinates of a `Denoise` the step is a straight line.
    """
    share = per_sample(then / now, x)
    return (reached - share * x) / (1 - share)
