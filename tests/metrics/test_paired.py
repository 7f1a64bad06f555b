"""Paired gains: against scipy where nothing is corrected, by hand where something is."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from hyperseg.core import SettingError
from hyperseg.metrics.gains import corrected_t_test, holm, noise_of


def test_without_a_correction_it_is_the_paired_t_test() -> None:
    a, b = np.random.default_rng(0).normal([[0.4], [0.0]], size=(2, 15))
    found, other = corrected_t_test(a - b), ttest_rel(a, b)
    assert found.p == pytest.approx(other.pvalue, rel=1e-9)
    low, high = other.confidence_interval()
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_the_correction_is_that_of_nadeau_and_bengio() -> None:
    differences = np.array([0.01, 0.03, -0.01, 0.02, 0.05])
    ratio = 1 / 4  # five folds
    statistic = differences.mean() / np.sqrt(differences.var(ddof=1) * (1 / 5 + ratio))
    found = corrected_t_test(differences, ratio=ratio)
    assert found.p == pytest.approx(2 * t.sf(statistic, 4))
    assert found.p > corrected_t_test(differences).p


def test_of_equal_differences_only_their_sign_is_evidence() -> None:
    """As often as n fair coins all show one side: the sign test, brute force over all throws."""
    none = corrected_t_test(np.zeros(6), ratio=0.25)
    assert (none.mean, none.half, none.p) == (0.0, 0.0, 1.0)
    same = corrected_t_test([0.1] * 6, ratio=0.25)
    assert (same.mean, same.sd) == (0.1, 0.0)
    for n in (2, 3, 6):
        throws = [sum(throw) for throw in product((-1, 1), repeat=n)]
        expected = sum(abs(total) == n for total in throws) / len(throws)
        assert corrected_t_test([0.1] * n).p == corrected_t_test([-5.0] * n, ratio=0.5).p == expected


def test_a_change_of_the_unit_changes_no_p() -> None:
    differences = np.random.default_rng(1).normal(size=8)
    assert corrected_t_test(100 * differences, ratio=0.5).p == pytest.approx(corrected_t_test(differences, ratio=0.5).p)


@pytest.mark.parametrize("wrong", [[0.1], [0.1, np.nan], [[0.1, 0.2]]])
def test_too_little_to_test_is_refused(wrong: object) -> None:
    with pytest.raises(SettingError, match="two finite differences"):
        corrected_t_test(wrong)  # type: ignore[arg-type]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]).tolist() == pytest.approx([1.0, 1.0])
    assert holm([0.04]).tolist() == pytest.approx([0.04])
    assert holm([]).tolist() == []


def test_holm_rejects_what_the_sequential_procedure_rejects() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        p = rng.uniform(size=7) ** 4
        adjusted, rejected = holm(p), set()
        for step, index in enumerate(np.argsort(p)):
            if p[index] >= 0.05 / (7 - step):
                break
            rejected.add(int(index))
        assert rejected == set(np.flatnonzero(adjusted < 0.05).tolist())


def test_noise_is_the_size_of_differences_between_all_pairs_of_seeds() -> None:
    folds = np.random.default_rng(3).normal(size=(4, 3))
    pairs = [a - b for fold in folds for a, b in combinations(fold, 2)]
    noise = noise_of(folds.tolist())
    assert noise.sd == pytest.approx(np.sqrt(np.mean(np.square(pairs))))
    assert (noise.pairs, noise.degrees) == (12, 8)
    assert noise.line(12) == pytest.approx(t.ppf(0.975, 8) * noise.sd / np.sqrt(12))


def test_how_good_a_fold_is_does_not_count_as_noise() -> None:
    folds = np.random.default_rng(4).normal(size=(4, 3))
    assert noise_of((folds + 10 * np.arange(4)[:, None]).tolist()).sd == pytest.approx(noise_of(folds.tolist()).sd)


def test_a_change_that_is_only_another_seed_exceeds_the_line_as_often_as_it_says() -> None:
    rng, beyond, times = np.random.default_rng(5), 0, 1500
    for _ in range(times):
        base = rng.normal(size=(5, 3))
        line = noise_of(base.tolist()).line(15)
        beyond += abs((rng.normal(size=15)).mean() - base.mean()) > line
    assert 0.03 < beyond / times < 0.07


def test_one_seed_says_nothing_of_noise() -> None:
    with pytest.raises(SettingError, match="two or more"):
        noise_of([[0.1], [0.2]])
