"""Improved DDPM: the network says where the variance of a step lies between DDPM's two, on a log scale.

Source: Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021, eq. 15:
exp(u log beta + (1 - u) log btilde) with u between 0 and 1.
"""

from __future__ import annotations

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.samplers.stochastic.jump import Jump, ancestral, posterior


def learnt(jump: Jump, x: Tensor, said: Prediction) -> Tensor:
    """(B, C, *S) variance of a step between its bounds; see `hyperseg.dpm.samplers.stochastic.jump.Total`.

    Raises:
        SettingError: the network says no share.
    """
    if said.share is None:
        raise SettingError(
            "the network says nothing of the variance of a step: train it with a learnt one (extra 'share')."
        )
    return jump.posterior * (jump.forward / jump.posterior) ** said.share


IDDPM = Sampler(
    "iddpm", ancestral(posterior, learnt), "training schedule: noise scale", "Nichol & Dhariwal, ICML 2021",
    spacing="trailing", needs="share", variance="share",
)  # fmt: skip
