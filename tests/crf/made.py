"""What tests of CRFs start from: maps, heads, and the Gaussian kernel written out, N x N."""

from __future__ import annotations

from functools import partial
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import SegmentationMap
from hyperseg.crf.kernels import Kernel
from hyperseg.crf.piecewise import Pairwise


def exact_kernel(
    features: NDArray[np.floating[Any]], *, normalised: bool = True, own: bool = True, **options: Any
) -> Kernel:
    """(N, d) -> the product with k_ij = exp(-|f_i - f_j|^2 / 2), where normalised D^-1/2 k D^-1/2, D the row sums.

    Without the own value, as in Krähenbühl & Koltun 2011, the row sums are still those of the whole kernel.
    """
    points = torch.as_tensor(features, **{"dtype": torch.float64} | options)
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    kernel = distances.square().mul(-0.5).exp()
    if normalised:
        scale = kernel.sum(1).rsqrt()
        kernel = scale[:, None] * kernel * scale
    return partial(torch.matmul, kernel if own else kernel.fill_diagonal_(0))


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
