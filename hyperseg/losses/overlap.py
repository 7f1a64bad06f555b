"""How much of every class is found, missed and wrongly named: what losses of overlap are made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Overlap(NamedTuple):
    """Sums of probabilities over labelled pixels, (B, K), or (K,) where the sums run over the batch.

    Attributes:
        found: of the class where it is (true positives).
        missed: of other classes where it is (false negatives).
        wrong: of the class where it is not (false positives).
    """

    found: Tensor
    missed: Tensor
    wrong: Tensor


def overlap(logits: Tensor, labels: Tensor, *, batch: bool) -> Overlap:
    """The sums of all K classes, class 0 among them.

    Args:
        logits: (B, K, *S); S may be empty.
        labels: (B, *S) int64, -1 where unlabelled: these pixels enter no sum.
        batch: sums run over all B together. They do so in any case where S is empty: a single pixel has no overlap.
    """
    known = labels >= 0
    classes = torch.arange(logits.shape[1], device=labels.device).view(-1, *[1] * (labels.ndim - 1))
    there = (labels.unsqueeze(1) == classes).to(torch.float32)
    probs = logits.float().softmax(1) * known.unsqueeze(1)
    axes = [0] * (batch or labels.ndim == 1) + list(range(2, logits.ndim))
    found = (probs * there).sum(axes)
    return Overlap(found, there.sum(axes) - found, probs.sum(axes) - found)
