"""How spectra vary between parcels, as a disturbance of patches; `PatchSource.gather` turns and flips them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@settings
class SpectralNoise:
    """How a standardised spectrum is disturbed; spreads are standard deviations in units of a band's own.

    One draw per patch, so the spatial pattern inside a patch is kept; only `noise` is drawn per value.
    """

    gain: float = option(0.0, "Spread of a factor (mean 1) common to all bands (illumination).", low=0)
    offset: float = option(0.0, "Spread of a shift common to all bands (haze, background).", low=0)
    drift: float = option(
        0.0, "Spread of a shift that varies slowly over the bands (soil, moisture, atmosphere).", low=0
    )
    knots: int = option(
        8, "Support points of the drift along the spectrum; between them it is interpolated.", low=1, high=999
    )
    noise: float = option(0.0, "Spread of white noise per value.", low=0)

    def __call__(self, patches: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Disturbed patches.

        Args:
            patches: (B, 1, L, h, w).
            generator: on the patches' device; None uses torch's own.

        Returns:
            (B, 1, L, h, w), a new tensor; the patches themselves where all spreads are 0.
        """
        import torch

        batch, _, bands = patches.shape[:3]

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, device=patches.device, dtype=patches.dtype, generator=generator)

        out = patches
        if self.gain:
            out = out * (1 + self.gain * normal(batch, 1, 1, 1, 1))
        if self.offset:
            out = out + self.offset * normal(batch, 1, 1, 1, 1)
        if self.drift:
            bend = self.drift * normal(batch, self.knots) @ _curves(self.knots, bands, patches.device, patches.dtype)
            out = out + bend[:, None, :, None, None]
        return out + normal(*patches.shape).mul_(self.noise) if self.noise else out


def illuminated(patches: Tensor, dark: Tensor, *, spread: float, generator: torch.Generator | None = None) -> Tensor:
    """Patches as under another sun: *raw* values times a factor drawn per patch, computed on preprocessed ones.

    Preprocessing is affine, so that a factor on raw values moves features along the line through the features of a
    black pixel.

    Args:
        patches: (B, 1, L, h, w) features.
        dark: (L,) features of a pixel whose raw values are 0, on the patches' device.
        spread: standard deviation of the factor's logarithm; 0 returns the patches themselves.
        generator: on the patches' device; None uses torch's own.
    """
    import torch

    if not spread:
        return patches
    drawn = torch.randn(len(patches), device=patches.device, dtype=patches.dtype, generator=generator)
    origin = dark.to(patches)[:, None, None]
    return origin + (spread * drawn).exp()[:, None, None, None, None] * (patches - origin)


def slow_curves(knots: int, bands: int) -> Tensor:
    """(knots, bands) curves: standard normal weights give a drift of unit variance at every band.

    Linear interpolation between evenly spread knots, divided by its own spread: without that the drift would
    be weaker half-way between two knots than on them.
    """
    import torch

    place = torch.linspace(0, knots - 1, bands, dtype=torch.float64) if knots > 1 else torch.zeros(bands)
    hats = (1 - (place - torch.arange(knots)[:, None]).abs()).clamp(min=0)
    return hats / hats.norm(dim=0)


@lru_cache(maxsize=8)
def _curves(knots: int, bands: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """`slow_curves` on a device, kept for the steps of a training."""
    return slow_curves(knots, bands).to(device, dtype)
