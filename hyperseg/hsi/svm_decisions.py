"""Decision values of a support vector machine as matrix products: what libsvm adds up pixel by pixel."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_VALUES = 1 << 19  # of the kernel, worked on at once: they stay in the cache


def decisions(machine: Any, x: Floats) -> Floats:
    """(n, C) spectra -> (n, k) one-against-rest decision values of a fitted RBF machine, see `combined`."""
    vectors, squares = machine.support_vectors_, (machine.support_vectors_**2).sum(1)[:, None]
    out = np.empty((len(x), len(machine.classes_)))
    step = max(1, BLOCK_VALUES // len(vectors))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        kernel = vectors @ (2 * block).T
        kernel -= squares
        kernel -= (block**2).sum(1)
        np.minimum(kernel, 0, out=kernel)  # minus the squared distance
        kernel *= machine.gamma
        out[start : start + step] = combined(machine, np.exp(kernel, out=kernel))
    return out


def combined(machine: Any, kernel: Floats) -> Floats:
    """One-against-rest decision values from the kernel of support vectors and pixels.

    Of two classes they are minus and plus half the single value. Of more, every class gets a vote for each pair that it
    wins, and less than a third of one for how clearly it does on the whole: c / 3 (|c| + 1), where c is the sum of its
    decision values. These are the values of scikit-learn's `decision_function` with the shape "ovr", and so its choice
    under `break_ties`.

    Args:
        machine: a fitted SVC of k classes, whose support vectors stand class by class.
        kernel: (n_SV, n) of its support vectors, in its order, and of pixels.

    Returns:
        (n, k).
    """
    if len(machine.classes_) == 2:
        value = machine.dual_coef_[0] @ kernel + machine.intercept_[0]
        return np.stack([-value / 2, value / 2], 1)
    ends = np.cumsum(machine.n_support_)
    own = [slice(end - size, end) for end, size in zip(ends, machine.n_support_, strict=True)]
    # row r of the coefficients of a class's vectors is for its pair with the r-th of the other classes
    parts = [machine.dual_coef_[:, mine] @ kernel[mine] for mine in own]
    votes, sums = np.zeros((2, len(own), kernel.shape[1]))
    for (i, j), intercept in zip(combinations(range(len(own)), 2), machine.intercept_, strict=True):
        value = parts[i][j - 1] + parts[j][i]
        value += intercept
        lost = value < 0
        votes[j] += lost
        votes[i] += ~lost
        sums[i] += value
        sums[j] -= value
    return np.asarray((votes + sums / (3 * (np.abs(sums) + 1))).T)
