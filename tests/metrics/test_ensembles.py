"""Scores of several answers: cases worked out by hand, limits, and pixels that nobody knows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from hyperseg.core import LabelError
from hyperseg.metrics.ensembles import brier, diversity, energy_distance, error_auroc

A, B, C = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0]), np.array([0, 0, 0, 1])  # IoU: A, B 1/3; with C 0
EMPTY = np.zeros(4, int)


def test_one_sample_and_one_reference_are_twice_their_distance_apart() -> None:
    assert energy_distance(A[None], B[None]) == pytest.approx(2 * (1 - 1 / 3))
    assert energy_distance(A[None], C[None]) == 2


def test_energy_distance_by_hand() -> None:
    # samples A, B; references A, C: apart (0 + 1 + 2/3 + 1) / 4, samples (2/3 * 2) / 4, references (1 * 2) / 4
    expected = 2 * (0 + 1 + 2 / 3 + 1) / 4 - (2 / 3 * 2) / 4 - (1 * 2) / 4
    assert energy_distance(np.stack([A, B]), np.stack([A, C])) == pytest.approx(expected)


def test_equal_distributions_are_at_no_distance() -> None:
    assert energy_distance(np.stack([A, B, C]), np.stack([C, A, B])) == pytest.approx(0)
    assert energy_distance(np.stack([A, A, B, B]), np.stack([A, B])) == pytest.approx(0)
    assert energy_distance(np.stack([A, A, A, B]), np.stack([A, B])) > 0


@pytest.mark.parametrize("seed", range(5))
def test_energy_distance_is_never_negative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples, references = (rng.integers(0, 2, (n, 3, 3)) for n in (4, 3))
    assert energy_distance(samples, references) >= 0


def test_two_empty_masks_are_equal_and_an_empty_one_is_far_from_others() -> None:
    assert energy_distance(EMPTY[None], EMPTY[None]) == 0
    assert energy_distance(EMPTY[None], A[None]) == 2
    assert diversity(np.stack([EMPTY, EMPTY])) == 0
    assert diversity(np.stack([EMPTY, A])) == 1


def test_diversity_is_the_mean_over_pairs() -> None:
    assert diversity(np.stack([A, B, C])) == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert diversity(np.stack([A, A])) == 0
    assert math.isnan(diversity(A[None]))


def test_classes_are_averaged_where_either_mask_has_them() -> None:
    a, b = np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 2, 2, 0])  # IoU 1/2 and 2/3; nobody has class 3
    assert diversity(np.stack([a, b]), (1, 2, 3)) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)
    assert diversity(np.stack([a, b]), (3,)) == 0
    assert diversity(np.stack([a, np.where(a == 2, 0, a)]), (1, 2)) == pytest.approx(1 - (1 + 0) / 2)


def test_brier_by_hand() -> None:
    probs, truth = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), np.array([0, 1])
    expected = (0.3**2 + 0.2**2 + 0.1**2 + 0.1**2 + 0.9**2 + 0.8**2) / 2
    assert brier(probs, truth) == pytest.approx(expected)
    assert brier(np.eye(3), np.arange(3)) == 0
    assert brier(np.eye(2), np.array([1, 0])) == 2


def test_the_truth_is_the_probability_that_scores_best() -> None:
    truth = np.array([0, 0, 0, 1])
    said = {p: brier(np.tile([p, 1 - p], (4, 1)), truth) for p in (0.6, 0.7, 0.75, 0.8, 0.9)}
    assert min(said, key=said.__getitem__) == 0.75


def test_doubt_that_ranks_errors_first_is_perfect() -> None:
    truth, predicted = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    assert error_auroc(np.array([0.1, 0.4, 0.2, 0.3]), predicted, truth) == 1
    assert error_auroc(np.array([0.1, 0.4, 0.2, 0.15]), predicted, truth) == 3 / 4
    assert error_auroc(np.full(4, 0.5), predicted, truth) == 0.5
    assert math.isnan(error_auroc(np.arange(4.0), truth, truth))


def test_pixels_that_nobody_knows_count_nowhere() -> None:
    rng = np.random.default_rng(0)
    samples, references = (rng.integers(0, 3, (n, 40)) for n in (3, 2))
    probs = rng.dirichlet(np.ones(3), 40)
    hidden = np.zeros(40, bool)
    hidden[::3] = True
    masked = references.copy()
    masked[0, hidden] = -1
    left = ~hidden
    classes = (1, 2)
    assert energy_distance(samples, masked, classes) == energy_distance(samples[:, left], references[:, left], classes)
    assert brier(probs, masked[0]) == brier(probs[left], references[0, left])
    doubt = 1 - probs.max(-1)
    assert error_auroc(doubt, samples[0], masked[0]) == error_auroc(doubt[left], samples[0, left], references[0, left])
    with pytest.raises(LabelError, match="no labelled pixel"):
        energy_distance(samples, np.full_like(references, -1))
    with pytest.raises(LabelError, match="no labelled pixel"):
        brier(probs, np.full(40, -1))


def test_what_does_not_fit_is_refused() -> None:
    for samples, references in itertools.permutations((np.zeros((2, 4), int), np.zeros((2, 5), int)), 2):
        with pytest.raises(LabelError, match="on one grid"):
            energy_distance(samples, references)
    with pytest.raises(LabelError, match="at least one"):
        diversity(np.zeros((0, 4), int))
    with pytest.raises(LabelError, match="do not fit"):
        brier(np.ones((4, 2)) / 2, np.zeros(5, int))
    with pytest.raises(LabelError, match="one grid"):
        error_auroc(np.zeros(4), np.zeros(4, int), np.zeros(5, int))
