"""Soft Dice and cross-entropy over images or volumes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core.settings import settings
from hyperseg.losses.ce import cross_entropy
from hyperseg.losses.loss import Sums, Terms


class DiceAndCrossEntropy(NamedTuple):
    """The two terms; what is minimised is their sum, which is -1 at best."""

    dice: Tensor
    cross_entropy: Tensor


class SoftDice(NamedTuple):
    """Overlaps of probabilities with labels.

    Attributes:
        dsc: 0 to 1 but for rounding, (B, C) of the C classes that are asked for, or (C,) of the whole batch.
        present: of the same shape, whether the labels have the class.
    """

    dsc: Tensor
    present: Tensor


def soft_dice(logs: Tensor, labels: Tensor, *, batch: bool, smooth: float, first: int) -> SoftDice:
    """(2 sum u v + smooth) / (sum u + sum v + smooth), where u are probabilities and v is 1 where the class is.

    Args:
        logs: (B, K, *S) logarithms of u, S not empty.
        labels: (B, *S) int64, -1 where unlabelled: these enter no sum.
        batch: sums run over all B together; otherwise over each.
        smooth: added to both sides of the fraction.
        first: the first class that is asked for; 1 leaves background out.
    """
    known = labels >= 0
    classes = torch.arange(first, logs.shape[1], device=labels.device).view(-1, *[1] * known[0].ndim)
    there = labels.unsqueeze(1) == classes
    u = logs[:, first:].exp() * known.unsqueeze(1)
    v = there.to(u.dtype)
    axes = [0] * batch + list(range(2, logs.ndim))
    found = v.sum(axes)
    both, sizes = (u * v).sum(axes), u.sum(axes) + found
    return SoftDice((2 * both + smooth) / (sizes + smooth), found > 0)


def dice_and_cross_entropy(
    logits: Tensor, labels: Tensor, *, batch: bool, smooth: float = 1e-5, first: int = 1
) -> DiceAndCrossEntropy:
    """-(2 sum u v + smooth) / (sum u + sum v + smooth), its mean over the classes but background; and cross-entropy.

    u are probabilities, v is 1 where the class is. Both terms leave unlabelled voxels out; cross-entropy is the mean
    over the others, 0 where there are none.

    Args:
        logits: (B, K, *S), K 2 or more; class 0 is background, unless `first` is 0.
        labels: (B, *S) int64, -1 where unlabelled.
        batch: sums run over all B together; otherwise over each, and the mean is taken over B too.
        smooth: added to both sides of the fraction: a class that is neither there nor expected counts as right.
        first: class that Dice begins with; 0 where none is background.

    Source: Isensee et al., arXiv 1809.10486, section 2.2; smooth and background of the published code.
    """
    logs = torch.log_softmax(logits.float(), 1)
    dice = -soft_dice(logs, labels, batch=batch, smooth=smooth, first=first).dsc.mean()
    return DiceAndCrossEntropy(dice, cross_entropy(logs, labels))


@settings
class DiceCE:
    """Dice and cross-entropy with equal weights, see `dice_and_cross_entropy`."""

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        found = dice_and_cross_entropy(logits, labels, batch=sums.batch, smooth=sums.smooth, first=sums.first)
        return found._asdict()
