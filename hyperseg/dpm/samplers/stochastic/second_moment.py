"""NPR-DDPM and SN-DDPM: the best variance of a step for every pixel, from a second head of the network.

SN: the head tells the expected square of the noise, and the square of the predicted noise is taken off. NPR: the head
tells the expected square of what the predicted noise is wrong by, which stays right where that is not perfect.

Source: Bao et al., "Estimating the Optimal Covariance with Imperfect Mean in Diffusion Probabilistic Models",
ICML 2022, theorems 3.1 and 4.1.
"""

from __future__ import annotations

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.samplers.stochastic.analytic import optimal_variance
from hyperseg.dpm.samplers.stochastic.jump import Jump, ancestral, posterior


def from_squares(jump: Jump, x: Tensor, said: Prediction) -> Tensor | float:
    """(B, C, *S) variance from the expected square of the noise, at least `Jump.posterior`.

    Raises:
        SettingError: the network does not tell it.
    """
    if said.squared is None:
        raise SettingError(
            "the network does not tell the expected square of the noise: train that head after it (extra 'squared')."
        )
    known = ((x - said.x0) / jump.now).square()
    return optimal_variance(jump.now, jump.then, jump.posterior, 1 - (said.squared - known).clamp(min=0))


def from_residual(jump: Jump, x: Tensor, said: Prediction) -> Tensor | float:
    """(B, C, *S) variance from the expected square of the error of the predicted noise, at least `Jump.posterior`.

    Raises:
        SettingError: the network does not tell it.
    """
    if said.residual is None:
        raise SettingError(
            "the network does not tell the expected square of its error: train that head after it (extra 'residual')."
        )
    return optimal_variance(jump.now, jump.then, jump.posterior, 1 - said.residual.clamp(min=0))


FAMILY = "training-free sampling: analytic"
SOURCE = "Bao et al., ICML 2022"
SN_DDPM = Sampler(
    "sn-ddpm", ancestral(posterior, from_squares), FAMILY, SOURCE, spacing="trailing", needs="squared",
    variance="squared",
)  # fmt: skip
NPR_DDPM = Sampler(
    "npr-ddpm", ancestral(posterior, from_residual), FAMILY, SOURCE, spacing="trailing", needs="residual",
    variance="residual",
)  # fmt: skip
