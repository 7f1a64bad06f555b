"""NPR-DDPM and SN-DDPM: the best variance of a step for every pixel, from a second head of the network.

Source: Bao et al., "Estimating the Optimal Covariance with Imperfect Mean in Diffusion Probabilistic Models",
ICML 2022, theorems 3.1 and 4.1; see `hyperseg.dpm.jump.variance_of`.
"""

from __future__ import annotations

from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.samplers.stochastic.ancestral import ddpm_with

FAMILY = "training-free sampling: analytic"
SOURCE = "Bao et al., ICML 2022"
SN_DDPM = Sampler(
    "sn-ddpm", ddpm_with("squared"), FAMILY, SOURCE, needs="squared", variance="squared"
)  # fmt: skip
NPR_DDPM = Sampler(
    "npr-ddpm", ddpm_with("residual"), FAMILY, SOURCE, needs="residual", variance="residual"
)  # fmt: skip
