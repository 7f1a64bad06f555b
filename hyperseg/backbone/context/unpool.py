"""Max pooling that remembers where its maxima were, and its reverse; any size, any stride per axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone.spec import PerAxis, per_axis
from hyperseg.core import SettingError

_POOL: dict[int, Callable[..., tuple[Tensor, Tensor]]] = {
    1: F.max_pool1d_with_indices, 2: F.max_pool2d_with_indices, 3: F.max_pool3d_with_indices,
}  # fmt: skip


def pooled(x: Tensor, stride: PerAxis) -> tuple[Tensor, Tensor]:
    """The largest value of every cell of `stride` pixels, and where it was.

    Cells do not overlap; the last of an axis holds the pixels that are left, so that ceil(n / stride) cells cover n.

    Args:
        x: (B, C, *S).
        stride: sides of a cell, one number or one per axis.

    Returns:
        (B, C, *T) maxima, and (B, C, *T) int64 places: positions in an image of size S whose axes are laid end to end.
    """
    sides = per_axis("stride", stride, x.ndim - 2)
    return _POOL[x.ndim - 2](x, sides, sides, ceil_mode=True)


def unpooled(x: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
    """Values put back to where the maxima were, zeros elsewhere.

    Args:
        x: (B, C, *T).
        places: (B, C, *T), of `pooled`.
        size: of the map that was pooled.

    Returns:
        (B, C, *size). The gradient reaches x alone: places have none.

    Raises:
        SettingError: as many values as places are needed, channel by channel.

    Source: Zeiler, Fergus, arXiv 1311.2901; Badrinarayanan, Kendall, Cipolla, "SegNet", arXiv 1511.00561.
    """
    if x.shape != places.shape:
        raise SettingError(
            f"values of shape {tuple(x.shape)} cannot go to places of shape {tuple(places.shape)}: "
            "give a map of as many channels and pixels as the pooled one."
        )
    empty = x.new_zeros((*x.shape[:2], prod(size)))
    return empty.scatter(2, places.flatten(2), x.flatten(2)).unflatten(2, tuple(size))
