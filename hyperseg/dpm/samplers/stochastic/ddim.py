"""DDIM with noise: between the deterministic way (eta 0) and DDPM's small variance (eta 1).

Source: Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, eq. 12 and 16.
"""

from __future__ import annotations

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.jump import Jump
from hyperseg.dpm.samplers.sampler import Sample, Sampler
from hyperseg.dpm.samplers.stochastic.ancestral import ancestral


def ddim(eta: float) -> Sample:
    """The sampler whose noise has eta times the posterior's standard deviation.

    Raises:
        SettingError: eta outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise SettingError(f"eta goes from 0 (no noise) to 1 (DDPM's noise), got {eta}.")

    def free(jump: Jump) -> float:
        return eta**2 * jump.posterior

    def total(jump: Jump, x: Tensor, said: Prediction) -> float:
        return free(jump)

    return ancestral(free, total)


DDIM_HALF = Sampler(
    "ddim-half", ddim(0.5), "training-free sampling: implicit", "Song et al., ICLR 2021"
)  # fmt: skip
