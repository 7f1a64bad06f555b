"""Views: random crops and random changes of brightness, of whole batches on any device."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError

Use = Literal["global", "local"]
FRACTION = 100 / 192  # of a side, that a crop keeps
PLACES = (10 / 92, 70 / 92)  # of what a crop leaves free, before it
BRIGHTNESS, CONTRAST, CLIP = 0.3, 0.3, (0.0, 1.5)


def view(
    images: Tensor, generator: torch.Generator, *, use: Use, crop: bool | None = None,
    clip: tuple[float, float] | None = CLIP,
) -> Tensor:  # fmt: skip
    """A changed view of every image for one of the losses: cropped for the global one, and shaded for both.

    Args:
        images: (B, C, *S).
        generator: on the CPU.
        use: the loss that reads it.
        crop: whether it is cropped; None does where the loss allows it.
        clip: see `shaded`.

    Raises:
        SettingError: a crop for the local loss, whose regions would show different places in two views.
    """
    if use not in ("global", "local"):
        raise SettingError(f"a view is for the loss global or local, got {use!r}.")
    if use == "local" and crop:
        raise SettingError(
            "the local loss compares the same place in two views, and a crop moves places: leave the crop out."
        )
    moved = cropped(images, generator) if crop or (crop is None and use == "global") else images
    return shaded(moved, generator, clip=clip)


def cropped(images: Tensor, generator: torch.Generator, least: float = FRACTION, most: float | None = None) -> Tensor:
    """A random part of each image, resized to the whole by linear interpolation.

    Args:
        images: (B, C, *S), two or three axes.
        generator: on the CPU; each image has its own part.
        least: the part's share of each side, 0 to 1.
        most: the share is drawn between `least` and this; None is `least`.

    Source: the authors' code of Chaitanya et al. 2020: 100 x 100 pixels of 192 x 192 from a corner at 10 to 70.
    Differs: shares instead of pixels, so that other sizes work; places between pixels are allowed.
    """
    most = least if most is None else most
    if not 0 < least <= most <= 1:
        raise SettingError(f"a crop keeps a share of a side above 0 and at most 1, got {least} to {most}.")
    if images.ndim not in (4, 5):
        raise SettingError(f"a crop is of images (B, C, H, W) or volumes (B, C, D, H, W), got {tuple(images.shape)}.")
    n, axes = len(images), images.ndim - 2
    share = least + (most - least) * torch.rand((n, 1), generator=generator)
    low, high = PLACES
    start = (1 - share) * (low + (high - low) * torch.rand((n, axes), generator=generator))
    shift = 2 * start + share - 1  # of the part's centre, where an image reaches from -1 to 1
    shift = shift.flip(1)  # grids count axes from the last
    theta = torch.cat((torch.diag_embed(share.expand(n, axes)), shift.unsqueeze(2)), 2)
    grid = F.affine_grid(theta.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def shaded(
    images: Tensor, generator: torch.Generator, *, brightness: float = BRIGHTNESS, contrast: float = CONTRAST,
    clip: tuple[float, float] | None = CLIP,
) -> Tensor:  # fmt: skip
    """Each image brighter or darker, then of more or less contrast around its channels' means: no place is moved.

    Args:
        images: (B, C, *S); the amounts are meant for values between 0 and 1, or of unit spread.
        generator: on the CPU; each image has its own amounts, its channels share them.
        brightness: most that is added, either way.
        contrast: most that the factor differs from 1.
        clip: least and largest value afterwards; None for images that are no 0 to 1.

    Source: the authors' code of Chaitanya et al. 2020.
    Differs: amounts are drawn anew every time; there from a fixed seed.
    """
    each = torch.rand((2, len(images)), generator=generator).mul_(2).sub_(1).to(images)
    added, factor = (one.view(-1, *[1] * (images.ndim - 1)) for one in (brightness * each[0], 1 + contrast * each[1]))
    found = images + added
    mean = found.flatten(2).mean(2).view(*found.shape[:2], *[1] * (images.ndim - 2))
    found = (found - mean) * factor + mean
    return found if clip is None else found.clamp(*clip)
