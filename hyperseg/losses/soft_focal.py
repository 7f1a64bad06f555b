"""Focal loss of soft targets: what FocalMix learns from labels, from predicted targets and from mixtures of both."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

LEAST = 1e-12


def soft_focal(logits: Tensor, targets: Tensor, *, alpha0: float, alpha1: float, gamma: float) -> Tensor:
    """[alpha0 + y (alpha1 - alpha0)] |y - p|^gamma CE(y, p), element by element, where p = sigmoid(logits).

    Of hard targets it is the usual focal loss with alpha = alpha1 and 1 - alpha = alpha0; with gamma 0 and both alphas
    1 it is binary cross-entropy. At p = y, soft or hard, it is 0 for gamma > 0, and has no slope there for gamma > 1.

    Args:
        logits: any shape; also +-80 and beyond, nothing overflows.
        targets: y of the same shape, in [0, 1]; no gradient runs through them.
        alpha0, alpha1: weights of a target of 0 and of 1; between them they mix linearly.
        gamma: how much less counts what is predicted nearly as its target says.

    Returns:
        The loss of every element, of the shape and type of `logits`.

    Source: Wang et al., "FocalMix", CVPR 2020, arXiv 2003.09108, soft-target focal loss; read second-hand.
    """
    y = targets.detach().to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    weight = alpha0 + y * (alpha1 - alpha0)
    if gamma == 0:
        return weight * entropy
    distance = (y - logits.sigmoid()).abs()
    if gamma < 1:  # a power below 1 has no finite slope at 0
        distance = distance.clamp(min=LEAST)
    return weight * distance**gamma * entropy
