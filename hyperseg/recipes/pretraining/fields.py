"""Changes of brightness that differ from place to place, and noise: what norms do not undo by themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

COARSE = 4  # points along a side, between which a field is smooth


def disturbed(images: Tensor, generator: torch.Generator, *, field: float, noise: float) -> Tensor:
    """Each image times one smooth field and plus another, and with noise: no place is moved.

    Brightness and contrast of a whole image are undone by the first instance norm of a network: two views that differ
    in these alone are one for it. A coil's uneven field in a scanner, or a lamp beside a specimen, is not undone.

    Args:
        images: (B, C, h, w), scaled values.
        generator: on the CPU; each image has its own fields and noise.
        field: deviation of the logarithm of the factor, and of what is added.
        noise: deviation.

    Source: ours; none of it is in Chaitanya et al. 2020, whose networks have batch norms.
    """
    n, size = len(images), list(images.shape[2:])
    coarse = torch.randn((n, 2, COARSE, COARSE), generator=generator).mul_(field).to(images)
    smooth = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
    found = images * smooth[:, :1].exp() + smooth[:, 1:]
    if noise:
        found = found + noise * torch.randn(images.shape, generator=generator).to(images)
    return found
