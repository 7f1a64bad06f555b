"""The Gaussian kernel written out, N x N."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.filters.kernels import Kernel


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
