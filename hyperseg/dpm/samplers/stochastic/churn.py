"""EDM's stochastic sampler: a little fresh noise before every step of Heun's method.

Source: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, algorithm 2,
written from its formulas; the settings are those of its table for CIFAR-10 with noise-conditional networks.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, noise_like
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.heun import heun_step
from hyperseg.dpm.samplers.sampler import Sampler

MOST = math.sqrt(2) - 1  # no step adds more noise than there is already


def churned(
    name: str, *, churn: float = 30.0, low: float = 0.01, high: float = 1.0, inflated: float = 1.007
) -> Sampler:
    """The sampler with the given amount of fresh noise.

    Args:
        churn: share by which noise grows before a step, times the number of steps; 0 is Heun's method.
        low, high: noise levels between which it does.
        inflated: standard deviation of the fresh noise; a little more than 1 makes up for what networks take off.

    Raises:
        SettingError: a negative churn or fresh noise, or low above high.
    """
    if not (churn >= 0 and inflated >= 0 and low <= high):
        raise SettingError(
            f"churn and its noise are 0 or more, low below high, got {churn}, {inflated}, {low}, {high}."
        )

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        call, sigmas = Counted(denoise), grid.sigmas.tolist()
        for now, then in pairwise(sigmas):
            more = min(churn / grid.steps, MOST) if low <= now <= high else 0.0
            if more > 0:
                raised = now * (1 + more)
                x = x + inflated * math.sqrt(raised**2 - now**2) * noise_like(x, generator)
                now = raised
            x = heun_step(call, x, now, then)
        return Sampled(x, call.calls)

    return Sampler(
        name, sample, "training-free sampling: solvers", "Karras et al., NeurIPS 2022", calls=2, saved=1,
        spacing="karras",
    )  # fmt: skip


EDM_CHURN = churned("edm-churn")
