"""Views of spectra: what changes between two looks at the same ground, and must not matter. Ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings
from hyperseg.data.augment import SpectralNoise, illuminated

if TYPE_CHECKING:
    from torch import Tensor


@settings
class SpectralViews:
    """How strongly a view differs; standardised bands have spread 1, and 0 turns a change off."""

    gain: float = option(
        0.1, "Illumination: spread of a factor's logarithm, on raw values, the same for a whole patch.", low=0, high=10
    )
    path: float = option(
        0.2, "Path radiance: spread of an added curve that varies slowly over the bands, the same for a whole patch.",
        low=0,
    )  # fmt: skip
    noise: float = option(0.3, "Spread of white noise per value.", low=0)
    dropout: float = option(
        0.1, "Share of the bands that are lost, drawn per patch: they become the mean.", low=0, below=1
    )
    mixing: float = option(
        0.3, "Largest share of a pixel that is the mean of the 3x3 pixels around it (adjacency), drawn per patch.",
        low=0, high=1,
    )  # fmt: skip

    def __call__(self, patches: Tensor, dark: Tensor) -> Tensor:
        """A changed view of each patch; no place is moved. Randomness is torch's own on the device of the patches.

        The order is that of the light: ground is mixed with its neighbours, lit, seen through air, and then recorded.

        Args:
            patches: (B, 1, L, h, w) standardised bands.
            dark: (L,) standardised bands of a pixel whose raw values are 0.

        Returns:
            (B, 1, L, h, w); the patches themselves where nothing changes.
        """
        mixed = mixed_with_neighbours(patches, self.mixing)
        lit = illuminated(mixed, dark, spread=self.gain)
        return without_bands(SpectralNoise(drift=self.path, noise=self.noise)(lit), self.dropout)


def mixed_with_neighbours(patches: Tensor, most: float) -> Tensor:
    """(1 - a) x + a mean of the 3x3 pixels around x, a drawn evenly from 0 to `most` for each patch.

    Pixels beyond the patch do not count. A patch of equal spectra stays as it is, and so does one of a single pixel.
    """
    import torch
    from torch.nn import functional as F

    if not most:
        return patches
    drawn = most * torch.rand(len(patches), 1, 1, 1, device=patches.device, dtype=patches.dtype)
    spectra = patches.squeeze(1)
    around = F.avg_pool2d(spectra, 3, 1, 1, count_include_pad=False)
    return torch.lerp(spectra, around, drawn).unsqueeze(1)


def without_bands(patches: Tensor, share: float) -> Tensor:
    """About this share of the bands of each patch become 0, which is the mean; the others stay as they are."""
    import torch

    if not share:
        return patches
    kept = torch.rand(len(patches), 1, patches.shape[2], 1, 1, device=patches.device) >= share
    return patches * kept
