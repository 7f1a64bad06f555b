"""Improved DDPM's schedule: alpha squared falls like a squared cosine.

Source: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021: s = 0.008, betas of at most
0.999.
"""

from __future__ import annotations

import math

import torch

from hyperseg.dpm.schedules.schedule import Schedule, discrete


def cosine(steps: int = 1000, *, offset: float = 0.008, most: float = 0.999) -> Schedule:
    """The schedule of `steps` steps; see `discrete` for errors."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    abars = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
    return discrete("cosine", (1 - abars[1:] / abars[:-1]).clamp(max=most))


COSINE = cosine()
