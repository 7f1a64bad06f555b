"""The cross-entropy of every pixel by itself, and means of labelled pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import UNLABELLED


def pixel_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, K, *S), (B, *S) -> (B, *S): -log of the probability of the pixel's class, in nats; 0 where unlabelled."""
    return F.nll_loss(logits.float().log_softmax(1), labels, ignore_index=UNLABELLED, reduction="none")


def class_weights(labels: Tensor, *, background: float, rest: float) -> Tensor:
    """(B, *S) -> (B, *S) float32: the weight of class 0, of every other class, and 0 where unlabelled."""
    return background * (labels == 0).float() + rest * (labels > 0).float()


def labelled_mean(values: Tensor, labels: Tensor) -> Tensor:
    """The sum of values, which are 0 where unlabelled, over the number of labelled pixels; 0 where there are none."""
    return values.sum() / (labels >= 0).sum().clamp(min=1)
