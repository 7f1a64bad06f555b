"""Borders between classes: where labels have them, how scores of them are judged, and where an image changes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INSIDE, BORDER, UNKNOWN = 0, 1, -1
_POOL = {2: F.max_pool2d, 3: F.max_pool3d}


def borders(labels: Tensor, thickness: int = 1) -> Tensor:
    """(B, *S) labels, -1 unknown -> (B, *S): 1 at borders of classes, 0 inside of a class, -1 where that is not known.

    A pixel is on a border where another class is labelled within `thickness` pixels along all axes. Where none is, but
    some of these pixels are not labelled, it is not known; nor is it of a pixel without a label.
    """
    known = labels >= 0
    values = labels[:, None].float()
    most = local_maximum(values.masked_fill(~known[:, None], -torch.inf), thickness)
    least = -local_maximum((-values).masked_fill(~known[:, None], -torch.inf), thickness)
    doubtful = local_maximum((~known[:, None]).float(), thickness) > 0
    found = torch.where(doubtful, UNKNOWN, INSIDE).masked_fill(most > least, BORDER)
    return found[:, 0].masked_fill(~known, UNKNOWN)


def local_maximum(x: Tensor, reach: int) -> Tensor:
    """(B, 1, *S) -> the largest value within `reach` pixels along all axes."""
    found: Tensor = _POOL[x.ndim - 2](x, 2 * reach + 1, stride=1, padding=reach)
    return found


def border_loss(scores: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of (B, *S) logits of borders where `truth`, (B, *S) of 0, 1, -1, is known.

    Each kind counts with the share of the other among the known pixels of the batch: the few pixels of borders weigh
    together what the many others do. Where nothing is known the loss is 0.
    """
    known = truth >= 0
    count = known.sum().clamp(min=1)
    share = (truth == BORDER).sum() / count
    weight = torch.where(truth == BORDER, 1 - share, share) * known
    each = F.binary_cross_entropy_with_logits(scores, (truth == BORDER).to(scores.dtype), reduction="none")
    return (weight.to(scores.dtype) * each).sum() / count


def steepness(x: Tensor) -> Tensor:
    """(B, C, *S) -> (B, 1, *S): size of the image's gradient by Sobel's differences, rooted mean square over channels.

    Differences between the two neighbours along an axis, smoothed by (1, 2, 1) / 4 along the others; the last pixels of
    the image are repeated beyond it. A ramp of slope 1 has steepness 1.
    """
    axes = range(2, x.ndim)
    total = torch.zeros_like(x[:, :1])
    for axis in axes:
        change = x
        for other in axes:
            before, here, after = neighbours(change, other)
            change = (after - before) / 2 if other == axis else (before + 2 * here + after) / 4
        total = total + change.square().mean(1, keepdim=True)
    return (total + 1e-12).sqrt()


def neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """The map moved by one pixel backwards along an axis, itself, and moved forwards; end pixels are repeated."""
    n = x.shape[axis]
    before = torch.cat((x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)), axis)
    after = torch.cat((x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)), axis)
    return before, x, after
