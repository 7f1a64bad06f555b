"""Cross-entropy of labelled pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import UNLABELLED
from hyperseg.core.settings import settings
from hyperseg.losses.loss import Sums, Terms


def cross_entropy(logs: Tensor, labels: Tensor) -> Tensor:
    """(B, K, *S) logarithms of probabilities, (B, *S) -> what `CrossEntropy` is."""
    summed = F.nll_loss(logs, labels, ignore_index=UNLABELLED, reduction="sum")
    return summed / (labels >= 0).sum().clamp(min=1)


@settings
class CrossEntropy:
    """Mean over labelled pixels of -log of the probability of their class, in nats; 0 where there are none."""

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        return {"cross_entropy": cross_entropy(logits.float().log_softmax(1), labels)}
