"""Is one method better than another? Compared split by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

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


@dataclass(frozen=True)
class Signs:
    """How often one of two was better.

    Attributes:
        wins, losses, ties: pairs above, below and equal to zero.
        p_value: of the sign test; 1.0 where all pairs tie.
    """

    wins: int
    losses: int
    ties: int
    p_value: float


def sign_test(differences: Sequence[float], *, alternative: Literal["two-sided", "greater"] = "two-sided") -> Signs:
    """Are differences more often above zero than a fair coin would have it? Exact; how large they are is not used.

    With n pairs that all have one sign p is 2 / 2^n (two-sided), or 1 / 2^n: five seeds of which all are better have
    0.0625, or 0.031.

    Args:
        differences: a - b of every pair (fold and seed); pairs that tie are left out, as usual.
        alternative: "two-sided", or "greater" where only a > b was asked for before the numbers were seen.

    Raises:
        SettingError: no difference, one that is not finite, or another alternative.
    """
    found = np.asarray(differences, np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise SettingError(f"a sign test needs finite differences, one at least, got {list(differences)}.")
    wins, losses = int((found > 0).sum()), int((found < 0).sum())
    n = wins + losses
    match alternative:
        case "two-sided":
            tail, sides = max(wins, losses), 2
        case "greater":
            tail, sides = wins, 1
        case _:
            raise SettingError(f"the alternative is two-sided or greater, got {alternative!r}.")
    p = sides * sum(comb(n, k) for k in range(tail, n + 1)) / 2**n
    return Signs(wins, losses, found.size - n, min(p, 1.0))


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
