"""How well a score tells strange samples from ordinary ones, whatever threshold is chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def auroc(scores: ArrayLike, strange: ArrayLike) -> float:
    """Area under the receiver's curve: how often a strange sample scores higher than an ordinary one; ties count half.

    Args:
        scores: (n,), higher for stranger.
        strange: (n,) bool.

    Returns:
        0 to 1, 0.5 for a score that says nothing; NaN where one kind is absent.
    """
    from scipy.stats import rankdata

    truth = np.asarray(strange, bool)
    n, m = int(truth.sum()), int((~truth).sum())
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.asarray(scores, np.float64))
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * m))
