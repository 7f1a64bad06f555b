"""Frechet distance, inception score, precision and recall: closed forms, limits, brute force."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from hyperseg.core import SettingError
from hyperseg.metrics.generation import few_samples, frechet_distance, inception_score, moments, precision_recall


def with_moments(mean: np.ndarray, cov: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Samples whose mean and covariance are exactly these."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(0)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T).reshape(len(mean), -1))).T
    return mean + whitened @ np.linalg.cholesky(cov).T


def random_cov(d: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(d, d))
    return a @ a.T + 0.1 * np.eye(d)


@pytest.mark.parametrize(("n", "d"), [(300, 5), (20, 64), (2, 3), (500, 1)])
def test_a_set_is_at_no_distance_from_itself(n: int, d: int) -> None:
    x = 100 + np.random.default_rng(0).normal(size=(n, d))
    assert frechet_distance(x, x) <= 1e-9 * x.var(0).sum()
    assert frechet_distance(x, x[::-1]) <= 1e-9 * x.var(0).sum()


def test_in_one_dimension_means_and_deviations_are_apart() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 2, (50, 1)), rng.normal(-3, 0.5, (80, 1))
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_covariances_that_commute_have_a_closed_form() -> None:
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))
    one, two = np.linspace(0.1, 4, 6), np.linspace(3, 0.2, 6)
    a = with_moments(np.arange(6.0), q @ np.diag(one) @ q.T, 40, 3)
    b = with_moments(np.zeros(6), q @ np.diag(two) @ q.T, 60, 4)
    expected = np.square(np.arange(6.0)).sum() + np.square(np.sqrt(one) - np.sqrt(two)).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_any_covariances_give_what_the_root_of_the_product_gives() -> None:
    a_cov, b_cov = random_cov(7, 5), random_cov(7, 6)
    a, b = with_moments(np.ones(7), a_cov, 50, 7), with_moments(np.zeros(7), b_cov, 50, 8)
    expected = 7 + np.trace(a_cov + b_cov - 2 * sqrtm(a_cov @ b_cov).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_fewer_samples_than_dimensions_are_as_exact() -> None:
    """Both sets lie in the same 3-D subspace of 40 dimensions, where the matrices are not singular."""
    rng = np.random.default_rng(9)
    basis = np.linalg.qr(rng.normal(size=(40, 3)))[0]
    a, b = rng.normal(size=(10, 3)), rng.normal(1, 2, (12, 3))
    assert frechet_distance(a @ basis.T, b @ basis.T) == pytest.approx(frechet_distance(a, b), rel=1e-10)
    assert moments(a @ basis.T).factor.shape == (10, 40)
    assert "lower rank" in few_samples(10, 40)
    assert "poorly known" in few_samples(60, 40)
    assert few_samples(100, 40) == ""


def test_moments_take_the_place_of_features() -> None:
    rng = np.random.default_rng(10)
    a, b = rng.normal(size=(30, 4)), rng.normal(size=(50, 4))
    assert frechet_distance(moments(a), b) == frechet_distance(a, moments(b)) == frechet_distance(a, b)
    np.testing.assert_allclose(moments(b).factor.T @ moments(b).factor, np.cov(b.T), rtol=1e-12)


def test_a_shift_of_all_samples_counts_squared() -> None:
    x = np.random.default_rng(11).normal(size=(100, 3))
    assert frechet_distance(x, x + np.array([3, 0, 4])) == pytest.approx(25, rel=1e-12)


def test_features_that_are_turned_and_shifted_together_are_as_far_apart() -> None:
    rng = np.random.default_rng(12)
    for n, d in ((200, 6), (5, 12)):  # enough samples, and fewer than dimensions
        a, b, turn = rng.normal(size=(n, d)), rng.normal(1, 2, (n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
        moved = frechet_distance(a @ turn + 3, b @ turn + 3)
        assert math.isfinite(moved)
        assert moved == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_inception_score_lies_between_its_limits() -> None:
    k = 7
    assert inception_score(np.full((20, k), 1 / k)) == 1  # nothing is known of any sample
    assert inception_score(np.tile(np.eye(k)[3], (20, 1))) == 1  # all are alike
    assert inception_score(np.tile(np.eye(k), (5, 1))) == pytest.approx(k, rel=1e-12)  # sure, and evenly many of each
    assert inception_score(np.eye(k)[[0, 1, 0, 1]]) == pytest.approx(2, rel=1e-12)
    probs = np.random.default_rng(0).dirichlet(np.full(k, 0.3), 200)
    assert 1 < inception_score(probs) < k


def test_inception_score_is_the_mean_divergence() -> None:
    probs = np.random.default_rng(1).dirichlet(np.ones(4), 30)
    total = probs.mean(0)
    brute = sum(p[k] * math.log(p[k] / total[k]) for p in probs for k in range(4)) / 30
    assert inception_score(probs) == pytest.approx(math.exp(brute), rel=1e-12)
    parts = [inception_score(part) for part in np.split(probs, 3)]
    assert inception_score(probs, splits=3) == pytest.approx(np.mean(parts), rel=1e-12)


def brute_share(points: np.ndarray, by: np.ndarray, k: int) -> float:
    found = 0
    for p in points:
        for b in by:
            if np.linalg.norm(p - b) <= np.sort(np.linalg.norm(by - b, axis=1))[k]:
                found += 1
                break
    return found / len(points)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_by_brute_force(k: int) -> None:
    rng = np.random.default_rng(k)
    real, made = 1000 + rng.normal(size=(40, 3)), 1001 + rng.normal(size=(30, 3))
    expected = brute_share(made, real, k), brute_share(real, made, k)
    assert precision_recall(real, made, k=k) == pytest.approx(expected)
    assert k > 3 or max(expected) < 1


def test_equal_sets_are_covered_and_far_ones_are_not() -> None:
    x = np.random.default_rng(2).normal(size=(50, 4))
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x + 1e3) == (0, 0)
    twice = np.repeat(x[:10], 6, axis=0)  # more equal points than neighbours: no reach at all
    assert precision_recall(twice, twice) == (1, 1)


def test_a_single_mode_is_precise_and_forgets_the_other() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(-9, 1, (100, 2)), rng.normal(9, 1, (100, 2))
    precision, recall = precision_recall(np.concatenate([left, right]), rng.normal(-9, 1, (200, 2)))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5


def test_memory_does_not_grow_with_the_product_of_counts() -> None:
    rng = np.random.default_rng(4)
    real, made = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2))
    tracemalloc.start()
    precision, _ = precision_recall(real, made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 26e6  # one table of all distances alone has 32 MB
    reach = np.sort(cdist(real, real), 1)[:, 3]
    assert precision == pytest.approx((cdist(made, real) <= reach).any(1).mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: frechet_distance(np.zeros((1, 3)), np.zeros((5, 3))), "2 samples or more"),
        (lambda: frechet_distance(np.zeros((5, 3)), np.zeros((5, 4))), "length 3 .* length 4"),
        (lambda: frechet_distance(np.full((5, 3), np.nan), np.zeros((5, 3))), "5 of 5 samples are not finite"),
        (lambda: inception_score(np.ones((4, 3))), "sum to 1"),
        (lambda: inception_score(np.eye(3), splits=4), "4 parts of 3 samples"),
        (lambda: precision_recall(np.zeros((5, 2)), np.zeros((3, 2)), k=3), "use 1 to 2"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: object, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        call()  # type: ignore[operator]
