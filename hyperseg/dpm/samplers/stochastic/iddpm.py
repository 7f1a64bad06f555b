"""Improved DDPM: the network says where the variance of a step lies between DDPM's two, on a log scale.

Source: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021, eq. 15:
exp(u log beta + (1 - u) log btilde) with u between 0 and 1.
"""

from __future__ import annotations

from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.samplers.stochastic.ancestral import ddpm_with

IDDPM = Sampler(
    "iddpm", ddpm_with("share"), "training schedule: noise scale", "Nichol & Dhariwal, ICML 2021",
    needs="share", variance="share",
)  # fmt: skip
