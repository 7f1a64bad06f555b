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


def detection_rate(scores: ArrayLike, strange: ArrayLike, *, false_alarms: float = 1e-3) -> float:
    """Share of the strange samples found by a threshold that at most so large a share of the ordinary ones passes.

    Args:
        scores: (n,), higher for stranger.
        strange: (n,) bool.
        false_alarms: share of the ordinary samples, 0 to 1; rounded down to whole samples, so that below one sample
            none may pass.

    Returns:
        0 to 1; a tie with the threshold is not found. NaN where one kind is absent.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(strange, bool)
    ordinary = np.sort(values[~truth])[::-1]
    if not len(ordinary) or not truth.any():
        return float("nan")
    allowed = min(int(false_alarms * len(ordinary) + 1e-9), len(ordinary) - 1)
    return float((values[truth] > ordinary[allowed]).mean())
