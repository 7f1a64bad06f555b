"""Mean field of a fully connected CRF, whose messages are products with Gaussian kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperseg.filters.kernels import Kernel

Weight = float | Tensor


def mean_field(unary: Tensor, kernels: Sequence[Kernel], weights: Sequence[Weight], *, iterations: int = 5) -> Tensor:
    """Approximate marginals by parallel mean-field updates; differentiable in unary and weights.

    Q <- softmax(-u), then `iterations` times Q <- softmax(-u + sum_m w_m K_m Q).

    Args:
        unary: (N, K) energies, -log P.
        kernels: linear maps (N, K) -> (N, K).
        weights: one number or scalar tensor per kernel.
        iterations: number of updates.

    Returns:
        (N, K) marginals.

    Source: Krähenbühl & Koltun 2011, algorithm 1.
    Differs: the kernel decides whether a pixel sends a message to itself; in the lattice it does, as in pydensecrf.
        Potts compatibility is written as a reward for agreeing. The penalty for disagreeing differs from it by a term
        that is the same for all classes.
    """
    own = -unary
    q = _softmax(own)
    for _ in range(iterations):
        field = own
        for kernel, weight in zip(kernels, weights, strict=True):
            if isinstance(weight, Tensor):
                field = field + weight * kernel(q)
            else:
                field = torch.add(field, kernel(q), alpha=weight)  # one pass
        q = _softmax(field)
    return q


def _softmax(scores: Tensor) -> Tensor:
    """Softmax of (N, K) scores over classes.

    On a CPU torch takes 16 float32 at once, and rows with fewer one by one: 6 times as slow as the four passes here.
    """
    if scores.requires_grad or scores.device.type != "cpu" or scores.shape[1] >= 16:
        return torch.softmax(scores, 1)
    q = (scores - scores.amax(1, keepdim=True)).exp_()
    return q.div_(q.sum(1, keepdim=True))
