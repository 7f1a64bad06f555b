"""`Loss`: what a loss of class scores is, and how it is taken at several levels of a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Sums:
    """How sums over pixels are taken: what the data decide, not the loss.

    Attributes:
        batch: over all images of a batch together; otherwise over each, and the mean is taken over them.
        smooth: added to both sides of a fraction: a class that is neither there nor expected counts as right.
        first: class that measures of overlap begin with; 0 where none is background.
    """

    batch: bool = False
    smooth: float = 1e-5
    first: int = 1


class Loss(Protocol):
    """A loss as a value: settings that are called with scores and classes."""

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        """Named terms, scalars, whose sum is minimised.

        Args:
            logits: (B, K, *S), K 2 or more; S may be empty.
            labels: (B, *S) int64, -1 where unlabelled: these pixels enter no sum.
            sums: how sums are taken.
        """


def at_levels(loss: Loss, levels: Sequence[Tensor], labels: Tensor, sums: Sums, *, weights: Sequence[float]) -> Terms:
    """The weighted sum of a loss over a decoder's levels; those of weight 0 cost nothing.

    Args:
        levels: logits (B, K, *S_level), fine to coarse; the finest has the size of the labels.
        labels: (B, *S); coarser levels are compared with every so manyth of them (the nearest).
        weights: one per level.
    """
    total: Terms = {}
    for logits, weight in zip(levels, weights, strict=True):
        if weight == 0:
            continue
        size = logits.shape[2:]
        at_level = labels
        if size != labels.shape[1:]:
            at_level = F.interpolate(labels.unsqueeze(1).float(), size=size, mode="nearest-exact")[:, 0].long()
        for term, value in loss(logits, at_level, sums).items():
            total[term] = total[term] + weight * value if term in total else weight * value
    return total
