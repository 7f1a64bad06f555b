"""DDPM's ancestral sampling with the smaller and the larger of its two variances.

Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, algorithm 2 and section 3.2: the variance
of a step is the posterior's (right for data that are one point) or beta (right for standard normal data).
Differs: between any two noise levels, not only neighbouring steps; beta is then that of the whole jump.
"""

from __future__ import annotations

from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.samplers.stochastic.ancestral import ddpm_with

FAMILY = "ancestral sampling"
SOURCE = "Ho et al., NeurIPS 2020"

DDPM = Sampler("ddpm", ddpm_with("small"), FAMILY, SOURCE, variance="small")
DDPM_LARGE = Sampler("ddpm-large", ddpm_with("large"), FAMILY, SOURCE, variance="large")
