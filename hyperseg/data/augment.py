"""Augmentations of patches: the symmetries of the square and the ways a spectrum varies between parcels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class SpectralNoise:
    """How a standardised spectrum is disturbed, in units of a band's standard deviation.

    One draw per patch, so the spatial pattern inside a patch is kept; only `noise` is drawn per value.

    Attributes:
        gain: spread of a factor common to all bands (illumination).
        offset: spread of a shift common to all bands (haze, background).
        drift: spread of a shift that varies slowly over the bands (soil, moisture, atmosphere).
        knots: number of support points of the drift along the spectrum.
        noise: spread of white noise per value.
    """

    gain: float = 0.0
    offset: float = 0.0
    drift: float = 0.0
    knots: int = 8
    noise: float = 0.0

    def __call__(self, patches: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(B, 1, L, h, w) -> disturbed copy; `generator` lives on the patches' device."""
        batch, _, bands = patches.shape[:3]

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, device=patches.device, generator=generator)

        out = patches
        if self.gain:
            out = out * (1 + self.gain * normal(batch, 1, 1, 1, 1))
        shift = self.offset * normal(batch, 1, 1) if self.offset else None
        if self.drift:
            bend = F.interpolate(self.drift * normal(batch, 1, self.knots), size=bands, mode="linear", align_corners=True)
            shift = bend if shift is None else shift + bend
        if shift is not None:
            out = out + shift[..., None, None]
        return out + self.noise * normal(*patches.shape) if self.noise else out
