"""Folds of cases: which are held out together, with groups (patients) kept whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hyperseg.core import SplitError
from hyperseg.core.words import counted
from hyperseg.io.cases.case import Case


def folds(cases: Sequence[Case], n: int = 5, seed: int = 0) -> tuple[tuple[str, ...], ...]:
    """Cases in `n` parts of about equal size; a model is tested on one part and learns from the others.

    Groups are shuffled, then the largest come first, each into the part with the fewest cases. The order of `cases`
    does not matter; the same seed gives the same folds.

    Args:
        cases: with names and groups.
        n: number of parts, 2 or more.
        seed: of the shuffle.

    Returns:
        names of the cases of each part, in ascending order; every case is in one part.

    Raises:
        SplitError: fewer groups than parts.
    """
    of: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        of[case.group or case.name].append(case.name)
    if n < 2 or len(of) < n:
        raise SplitError(
            f"{counted(len(cases), 'case')} in {counted(len(of), 'group')} cannot be divided into {n} folds: 2 or "
            "more, and no more than there are groups. Ask for fewer folds, or label more cases."
        )
    names = sorted(of)
    order = np.random.default_rng(seed).permutation(len(names))
    parts: list[list[str]] = [[] for _ in range(n)]
    for index in sorted(order, key=lambda i: -len(of[names[i]])):  # stable: equal sizes stay shuffled
        min(parts, key=len).extend(of[names[index]])
    return tuple(tuple(sorted(part)) for part in parts)
