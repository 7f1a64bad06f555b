"""The one question of every sampler, `denoise(x, sigma) -> Prediction`, and what a sampler gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError

Generators = torch.Generator | Sequence[torch.Generator]
"""One generator for a whole batch, or one for each sample of it, which then does not depend on the others."""


class Tapped(NamedTuple):
    """What a network worked out on the way to its answer.

    Attributes:
        levels: (B, widths[i], *S_i) maps of its decoder, fine to coarse.
        place: (B,) the number by which it was told the time.
    """

    levels: tuple[Tensor, ...]
    place: Tensor


class Prediction(NamedTuple):
    """What is said of a noisy state x = x0 + sigma * noise.

    Attributes:
        x0: (B, C, *S) the expected clean data.
        share: (B, C, *S) in [0, 1]: where the variance of a reverse step lies between its two bounds, on a log scale
            (networks with a learnt variance); or None.
        squared: (B, C, *S) the expected square of the noise (networks with a second moment); or None.
        residual: (B, C, *S) the expected square of the error of the predicted noise; or None.
        features: what the network worked out on the way, where it is asked by `DiffusionModel.tapped`; or None.
    """

    x0: Tensor
    share: Tensor | None = None
    squared: Tensor | None = None
    residual: Tensor | None = None
    features: Tapped | None = None


Denoise = Callable[[Tensor, Tensor], Prediction]
"""(x (B, C, *S), sigma (B,)) -> Prediction, all in float64: x is clean data and sigma times standard normal noise.

These are coordinates in which nothing is scaled: the state of a schedule with x_t = alpha x0 + std noise is divided by
alpha, and sigma is std / alpha. `hyperseg.dpm.adapters.denoiser` brings any network into this form.
"""


class Sampled(NamedTuple):
    """What a sampler gives.

    Attributes:
        x: (B, C, *S) float64 clean data.
        nfe: how often the network was called for it (number of function evaluations).
    """

    x: Tensor
    nfe: int


@dataclass
class Counted:
    """A `Denoise` that counts its calls, and takes one noise level for the whole batch."""

    denoise: Denoise
    calls: int = 0

    def __call__(self, x: Tensor, sigma: Tensor | float) -> Prediction:
        """Ask.

        Raises:
            SettingError: what is predicted has another shape than the state, and would be stretched to it unseen.
        """
        self.calls += 1
        level = sigma if isinstance(sigma, Tensor) else x.new_full((1,), sigma)  # filled where x is: nobody waits
        told = self.denoise(x, level.expand(len(x)))
        if told.x0.shape != x.shape:
            raise SettingError(
                f"the denoiser predicts clean data of shape {tuple(told.x0.shape)} for a state of shape "
                f"{tuple(x.shape)}: they are the same."
            )
        return told


def noise_like(x: Tensor, generator: Generators) -> Tensor:
    """Standard normal noise of x's shape, type and device; drawn in float32, five times as fast as in float64.

    Raises:
        SettingError: see `check_generators`.
    """
    if isinstance(generator, torch.Generator):
        return torch.randn(x.shape, generator=generator, device=x.device).to(x.dtype)
    check_generators(x, generator)
    each = zip(x, generator, strict=True)
    return torch.stack([torch.randn(s.shape, generator=g, device=x.device) for s, g in each]).to(x.dtype)


def check_generators(x: Tensor, generator: Generators) -> None:
    """Raise SettingError where there are several generators, and not one for each sample of x."""
    if not isinstance(generator, torch.Generator) and len(generator) != len(x):
        raise SettingError(
            f"{len(generator)} generators for {len(x)} samples: give one for each of them, or one for all."
        )


def per_sample(value: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, ..., 1) beside a (B, C, *S) tensor."""
    return value.reshape(-1, *(1,) * (like.ndim - 1))
