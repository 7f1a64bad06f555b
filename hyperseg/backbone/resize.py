"""Maps brought to another size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, *T) -> (B, C, *size) by linear interpolation between centres of pixels; as it is where T is size."""
    if x.shape[2:] == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode=LINEAR[x.ndim - 2], align_corners=False)
