"""Answers and truths as critics see them."""

from __future__ import annotations

import torch
from torch import Tensor


def known_maps(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, *S) logits, (B, *S) labels -> probabilities, and 1 where a class is; both 0 where unlabelled (-1)."""
    known = (labels >= 0).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=labels.device).view(-1, *[1] * (labels.ndim - 1))
    exact = logits if logits.dtype == torch.float64 else logits.float()
    answer = torch.where(known, exact.softmax(1), 0.0)
    return answer, (labels.unsqueeze(1) == classes).to(answer.dtype)
