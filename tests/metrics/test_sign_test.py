"""The sign test against all throws of coins, and against scipy's binomial test."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from hyperseg.core import SettingError
from hyperseg.metrics.comparison import sign_test


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_it_counts_throws_of_coins(alternative: str) -> None:
    for n in (1, 4, 5):
        sums = [sum(throw) for throw in product((-1, 1), repeat=n)]
        for wins in range(n + 1):
            total = 2 * wins - n
            rare = [abs(s) >= abs(total) if alternative == "two-sided" else s >= total for s in sums]
            found = sign_test([1.0] * wins + [-0.1] * (n - wins), alternative=alternative)  # type: ignore[arg-type]
            assert found.p_value == pytest.approx(np.mean(rare))
            assert (found.wins, found.losses, found.ties) == (wins, n - wins, 0)
            assert found.p_value == pytest.approx(binomtest(wins, n, alternative=alternative).pvalue)


def test_only_signs_count_and_ties_are_left_out() -> None:
    differences = np.array([0.5, -0.1, 2.0, 0.3])
    assert sign_test([*(9 * differences), 0.0, 0.0]).p_value == sign_test(list(np.sign(differences))).p_value
    assert sign_test([*differences, 0.0]).ties == 1
    assert sign_test([0.0, 0.0]).p_value == 1


def test_five_seeds_that_are_all_better() -> None:
    better = [0.1, 0.2, 0.05, 0.3, 0.1]
    assert sign_test(better).p_value == 2 / 2**5
    assert sign_test(better, alternative="greater").p_value == 1 / 2**5
    assert sign_test([-d for d in better], alternative="greater").p_value == 1


@pytest.mark.parametrize("wrong", [[], [np.nan], [[0.1]]])
def test_what_cannot_be_tested_is_refused(wrong: list[float]) -> None:
    with pytest.raises(SettingError, match="finite differences"):
        sign_test(wrong)
    with pytest.raises(SettingError, match="two-sided or greater"):
        sign_test([0.1], alternative="less")  # type: ignore[arg-type]
