"""RoIAlign: maps read inside boxes, at a fixed number of places whatever size a box has, without rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

POOLED = {2: F.avg_pool2d, 3: F.avg_pool3d}
CELLS = 14  # of a level that a box of the level's size has along a side: 224 pixels at a stride of 16


def roi_align(
    features: Tensor, boxes: Tensor, bins: Sequence[int], *, stride: Sequence[float], samples: int = 2
) -> Tensor:
    """What a map holds inside each box: every bin is the mean of a few values read by linear interpolation.

    Boxes are half open: pixel i of the image lies from i to i + 1 and has its centre at i + 0.5, and so has a cell of
    the map, times its stride. Nothing is rounded to whole cells, and nothing is moved by half a cell. Beyond the map
    its outermost cells go on.

    Args:
        features: (C, *S_l) a map of one image.
        boxes: (R, 2n) in voxels of the image.
        bins: along each axis.
        stride: voxels of the image from one cell of the map to the next, per axis.
        samples: per bin and axis, evenly spread.

    Returns:
        (R, C, *bins); gradients run into the map, none into the boxes.

    Source: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", arXiv 1703.06870, section 3; RoIAlign with four samples a bin.
    Differs: any number of samples, two or three axes.
    """
    n, count = len(bins), len(boxes)
    if not count:
        return features.new_zeros(0, len(features), *bins)
    fine = [size * samples for size in bins]
    size = torch.as_tensor(features.shape[1:], dtype=boxes.dtype, device=boxes.device)
    step = torch.as_tensor(tuple(stride), dtype=boxes.dtype, device=boxes.device)
    lo, hi = (end / step / size * 2 - 1 for end in boxes.detach().chunk(2, 1))  # -1 and 1 are the ends of the map
    along = []
    for axis, places in enumerate(fine):
        share = (torch.arange(places, dtype=boxes.dtype, device=boxes.device) + 0.5) / places
        at = lo[:, axis, None] + share * (hi - lo)[:, axis, None]
        along.append(at.view(count, *(places if axis == a else 1 for a in range(n))).expand(count, *fine))
    grid = torch.stack(along[::-1], -1)  # the last axis first, as grid_sample wants it
    flat = grid.reshape(1, count * fine[0], *fine[1:], n).to(features.dtype)
    read = F.grid_sample(features[None], flat, mode="bilinear", padding_mode="border", align_corners=False)
    if samples > 1:
        read = POOLED[n](read, samples)
    return read[0].unflatten(1, (count, bins[0])).movedim(1, 0)


def roi_align_levels(
    pyramid: Sequence[Tensor], boxes: Sequence[Tensor], bins: Sequence[int], *, strides: Sequence[Sequence[int]],
    samples: int = 2,
) -> Tensor:  # fmt: skip
    """`roi_align` of the boxes of a batch, each on the level that fits its size, see `level_of`.

    Args:
        pyramid: of every level (B, C, *S_l), from fine to coarse.
        boxes: of every image (R_b, 2n).
        strides: of every level.

    Returns:
        (sum of R_b, C, *bins), image by image.
    """
    found = []
    for image, own in enumerate(boxes):
        level = level_of(own, strides)
        out = pyramid[0].new_zeros(len(own), pyramid[0].shape[1], *bins)
        for i, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
            here = (level == i).nonzero()[:, 0]
            if len(here):
                out = out.index_copy(
                    0, here, roi_align(features[image], own[here], bins, stride=stride, samples=samples)
                )
        found.append(out)
    return torch.cat(found)


def level_of(boxes: Tensor, strides: Sequence[Sequence[int]]) -> Tensor:
    """(R) index of the level that a box is read from: the finest for small ones, one more for each factor of two.

    Source: Lin et al., "Feature Pyramid Networks", arXiv 1612.03144, equation 1.
    """
    n = boxes.shape[1] // 2
    side = (boxes[:, n:] - boxes[:, :n]).clamp(min=1e-6).log2().mean(1)
    finest = sum(math.log2(step) for step in strides[0]) / n + math.log2(CELLS)
    return (side - finest).floor().clamp(0, len(strides) - 1).long()
