"""Does a change do more than another seed would? Differences paired by cell, corrected p-values, the noise line.

A cell is one training and its test: of one fold (or one split) and one seed. A change and the baseline have the same
folds and seeds, so that they are compared cell by cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError

Floats = NDArray[np.float64]
LEVEL = 0.05  # of tests, and of intervals 1 - LEVEL


@dataclass(frozen=True)
class Gain:
    """What a change is better by, over n paired cells.

    Attributes:
        n: cells.
        mean: of the differences.
        sd: standard deviation of one difference.
        standard_error: of the mean, corrected.
        half: of the width of the 95 % interval of the mean, corrected.
        p: two-sided; see `corrected_t_test` where all differences are equal.
    """

    n: int
    mean: float
    sd: float
    standard_error: float
    half: float
    p: float


@dataclass(frozen=True)
class Noise:
    """What the baseline differs from itself by where nothing but the seed differs.

    Attributes:
        sd: standard deviation of one such difference; its mean is zero.
        pairs: of seeds, over all folds.
        degrees: of freedom.
    """

    sd: float
    pairs: int
    degrees: int

    def line(self, cells: int) -> float:
        """The mean of so many differences stays below it, in size, 95 times of 100."""
        return _quantile(self.degrees) * self.sd / math.sqrt(cells)


def corrected_t_test(differences: ArrayLike, *, ratio: float = 0.0) -> Gain:
    """The corrected resampled t-test of paired differences.

    Folds share most of what is learnt from, so that their differences are no independent measurements and their spread
    is too small. The variance of the mean is therefore sd^2 (1/n + ratio), with n - 1 degrees of freedom.

    Where all differences are equal their spread says nothing (scores may be coarse), and t would be infinite. p is then
    that of the sign test, 2 / 2^n: how often n differences have one sign by chance; 1 where all are zero.

    Args:
        differences: (n) change minus baseline, a number for each cell.
        ratio: cases tested on over cases learnt from; 0 is the plain paired t-test.

    Source: Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52 (2003).
    Differs: they draw a new division for every difference; here seeds repeat the same folds.

    Raises:
        SettingError: fewer than two differences, one that is not finite, or a ratio below zero.
    """
    from scipy.special import stdtr

    found = np.asarray(differences, np.float64)
    if found.ndim != 1 or found.size < 2 or not np.isfinite(found).all():
        raise SettingError(f"a paired test needs two finite differences or more, got {found.size}.")
    if not ratio >= 0:
        raise SettingError(f"the ratio of tested to learnt cases is a number from 0, got {ratio}.")
    n, mean, sd = found.size, float(found.mean()), float(found.std(ddof=1))
    if not np.ptp(found):  # of equal numbers the sum of squares is not always zero
        mean, sd = float(found[0]), 0.0
    error = sd * math.sqrt(1 / n + ratio)
    if error:
        p = 2 * float(stdtr(n - 1, -abs(mean) / error))
    else:
        p = min(2 * 0.5**n, 1.0) if mean else 1.0
    return Gain(n, mean, sd, error, _quantile(n - 1) * error, p)


def holm(p_values: Sequence[float]) -> Floats:
    """p-values for testing them all at once, in the same order.

    The smallest of m is multiplied by m, the next by m - 1, ...; none is smaller than one before it, or above 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    found = np.empty_like(p)
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return found


def noise_of(folds: Sequence[Sequence[float]]) -> Noise:
    """The noise of a baseline from its scores with several seeds.

    Args:
        folds: of each fold its scores, one for each seed; folds with one seed say nothing.

    Raises:
        SettingError: no fold has two seeds.
    """
    pairs = [a - b for scores in folds for a, b in combinations(scores, 2)]
    degrees = sum(max(len(scores) - 1, 0) for scores in folds)
    if not pairs:
        raise SettingError("one seed tells nothing of what seeds differ by: give two or more.")
    pooled = sum(float(np.var(scores, ddof=1)) * (len(scores) - 1) for scores in folds if len(scores) > 1) / degrees
    return Noise(math.sqrt(2 * pooled), len(pairs), degrees)


def _quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - LEVEL / 2))
