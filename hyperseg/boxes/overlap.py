"""What boxes measure: centres, sizes, volumes, and how much two of them have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def centres(boxes: Tensor) -> Tensor:
    """(N, 2n) -> (N, n) in voxels."""
    lo, hi = boxes.chunk(2, 1)
    return (lo + hi) / 2


def sizes(boxes: Tensor) -> Tensor:
    """(N, 2n) -> (N, n) in voxels; negative along an axis where a box is turned inside out."""
    lo, hi = boxes.chunk(2, 1)
    return hi - lo


def volumes(boxes: Tensor) -> Tensor:
    """(N, 2n) -> (N) in voxels (an area where n is 2); 0 of a box that holds nothing."""
    return sizes(boxes).clamp(min=0).prod(1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` with every one of `b`.

    Args:
        a: (N, 2n).
        b: (M, 2n), on the same device.

    Returns:
        (N, M) from 0 to 1; 0 where both boxes hold nothing. Memory is a few times N M numbers.
    """
    n = a.shape[1] // 2
    shared = torch.ones(len(a), len(b), dtype=torch.promote_types(a.dtype, b.dtype), device=a.device)
    for lo, hi in zip(range(n), range(n, 2 * n), strict=True):  # one axis at a time: (N, M, n) would not fit
        length = torch.minimum(a[:, None, hi], b[None, :, hi])
        shared *= length.sub_(torch.maximum(a[:, None, lo], b[None, :, lo])).clamp_(min=0)
    return _over_union(shared, volumes(a)[:, None], volumes(b)[None])


def iou_in_pairs(a: Tensor, b: Tensor) -> Tensor:
    """(N, 2n) and (N, 2n) -> (N): of the first with the first, of the second with the second, ..."""
    (a_lo, a_hi), (b_lo, b_hi) = a.chunk(2, 1), b.chunk(2, 1)
    shared = (torch.minimum(a_hi, b_hi) - torch.maximum(a_lo, b_lo)).clamp(min=0).prod(1)
    return _over_union(shared, volumes(a), volumes(b))


def clipped(boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """(N, 2n) boxes as far as they lie inside an array of `shape` (n); one beside it has a size of 0 somewhere."""
    ends = torch.as_tensor([*shape, *shape], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), ends)


def _over_union(shared: Tensor, a: Tensor, b: Tensor) -> Tensor:
    union = (a + b) - shared
    return shared / union.clamp_(min=torch.finfo(shared.dtype).tiny)
