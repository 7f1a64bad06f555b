"""Folds of cases: a partition in which groups stay whole."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SplitError
from hyperseg.data.cases import folds
from hyperseg.io.cases.case import Case


def cases_of(sizes: list[int]) -> list[Case]:
    """So many cases of each group."""
    return [Case(f"p{g}_{i}", (), None, f"p{g}") for g, n in enumerate(sizes) for i in range(n)]


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_partition_with_whole_groups(n: int, seed: int) -> None:
    sizes = [int(k) for k in np.random.default_rng(seed).integers(1, 6, 17)]
    cases = cases_of(sizes)
    parts = folds(cases, n, seed)
    assert sorted(name for part in parts for name in part) == sorted(case.name for case in cases)
    of = {name: i for i, part in enumerate(parts) for name in part}
    for group in {case.group for case in cases}:
        assert len({of[case.name] for case in cases if case.group == group}) == 1
    counts = [len(part) for part in parts]
    assert max(counts) - min(counts) <= max(sizes)


def test_equal_groups_make_equal_folds() -> None:
    assert [len(part) for part in folds(cases_of([1] * 260))] == [52] * 5
    assert [len(part) for part in folds(cases_of([2] * 15))] == [6] * 5


def test_a_pure_function_of_names_groups_and_seed() -> None:
    cases = cases_of([1, 2, 1, 3, 1, 1, 2, 1])
    assert folds(cases, 3, 7) == folds(cases[::-1], 3, 7)
    assert len({folds(cases, 3, seed) for seed in range(8)}) > 1


@pytest.mark.parametrize("n", [0, 1, 4])
def test_fewer_groups_than_folds(n: int) -> None:
    with pytest.raises(SplitError, match="3 groups"):
        folds(cases_of([5, 5, 5]), n)
