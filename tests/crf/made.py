"""What tests of CRFs start from: maps and heads."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import SegmentationMap
from hyperseg.crf.piecewise import Pairwise


def map_of(probs: NDArray[np.floating[Any]], valid: NDArray[np.bool_] | None = None) -> SegmentationMap:
    """A map of these probabilities, of classes a, b, c and so on."""
    k = probs.shape[-1]
    return SegmentationMap(
        probs.astype(np.float32), tuple(ascii_lowercase[:k]), ((0, 0, 0),) * k, made_by=("random",), valid=valid
    )


def talking(seed: int = 0) -> Pairwise:
    """Heads for 4 features and 3 classes whose last layer is no longer zero, and a table."""
    torch.manual_seed(seed)
    heads = Pairwise(4, 3, hidden=8).eval()
    for parameter in heads.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    heads.table.copy_(torch.randn(2, 3, 3))
    return heads
