"""Is one method better than another? Compared split by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperseg.core import SettingError


@dataclass(frozen=True)
class Paired:
    """Method a against method b on the same n splits.

    Attributes:
        mean_difference: mean of a - b, in the unit of the values.
        standard_error: of that mean.
        wins, losses, ties: splits where a is above, below, equal to b.
        p_value: Wilcoxon signed-rank, two-sided; 1.0 where all pairs tie.
    """

    mean_difference: float
    standard_error: float
    wins: int
    losses: int
    ties: int
    p_value: float
    n: int


def paired(a_values: Sequence[float], b_values: Sequence[float]) -> Paired:
    """Compare the scores of two methods split by split: value k of both comes from the same split and seed.

    The spread over spatial splits is far larger than the gap between methods, so unpaired means say little;
    use at least 10 splits (with 5 the p value cannot fall below 0.06 whatever happens).

    Raises:
        SettingError: lists of different length, fewer than two pairs, or values that are not finite.
    """
    from scipy.stats import wilcoxon  # slow to import, needed here only

    a, b = np.asarray(a_values, np.float64), np.asarray(b_values, np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 2:
        raise SettingError(f"{a.size} and {b.size} values cannot be paired: give two equally long lists of 2 or more.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise SettingError("values to compare must be finite: leave out splits where a class could not be scored.")
    difference = a - b
    return Paired(
        mean_difference=float(difference.mean()),
        standard_error=float(difference.std(ddof=1) / np.sqrt(a.size)),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        ties=int((difference == 0).sum()),
        p_value=float(wilcoxon(difference).pvalue) if difference.any() else 1.0,
        n=int(a.size),
    )
