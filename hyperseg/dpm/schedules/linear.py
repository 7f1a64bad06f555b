"""DDPM's schedule: betas rise linearly over 1000 steps.

Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020: 1e-4 to 0.02.
"""

from __future__ import annotations

import torch

from hyperseg.dpm.schedules.schedule import Schedule, discrete


def linear(steps: int = 1000, *, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """The schedule of `steps` betas from `first` to `last`; see `discrete` for errors."""
    return discrete("linear", torch.linspace(first, last, steps, dtype=torch.float64))


LINEAR = linear()
