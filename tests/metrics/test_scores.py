"""Scores: against enumeration, against scikit-learn, and at their limits."""

from __future__ import annotations

import json
from itertools import permutations
from math import isnan, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics import boundary_accuracy, confusion, expected_calibration_error, mean_and_std, paired, scores


def random_maps(seed: int, n: int = 400, k: int = 5) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, k, n).astype(np.int16)
    predicted = np.where(rng.random(n) < 0.6, np.maximum(truth, 0), rng.integers(0, k, n)).astype(np.int16)
    return truth, predicted


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 5))
def test_confusion_is_the_loop(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(-1, k, (2, 6, 7)).astype(np.int16)
    expected = np.zeros((k, k + 1), np.int64)
    for t, p in zip(truth.flat, predicted.flat, strict=True):
        if t != -1:
            expected[t, p if p != -1 else k] += 1
    assert np.array_equal(confusion(truth, predicted, k), expected)


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn import metrics

    for seed in range(5):
        truth, predicted = random_maps(seed)
        table = confusion(truth, predicted, 5)
        found = scores(table)
        assert scores(table[:, :5]) == found
        t, p = truth[truth >= 0], predicted[truth >= 0]
        assert found.oa == pytest.approx(100 * metrics.accuracy_score(t, p))
        assert found.aa == pytest.approx(100 * metrics.balanced_accuracy_score(t, p))
        assert found.kappa == pytest.approx(100 * metrics.cohen_kappa_score(t, p))
        assert found.per_class == pytest.approx(100 * metrics.recall_score(t, p, average=None))
        assert found.f1 == pytest.approx(100 * metrics.f1_score(t, p, average=None))
        assert found.iou == pytest.approx(100 * metrics.jaccard_score(t, p, average=None))
        assert found.mean_f1 == pytest.approx(100 * metrics.f1_score(t, p, average="macro"))
        assert found.mean_iou == pytest.approx(100 * metrics.jaccard_score(t, p, average="macro"))
        predicted[::7] = -1  # no prediction is a category of its own
        expected = 100 * metrics.cohen_kappa_score(t, predicted[truth >= 0])
        assert scores(confusion(truth, predicted, 5)).kappa == pytest.approx(expected)


def test_the_true_label_alone_decides_what_is_scored() -> None:
    truth, predicted = np.array([[0, 0, 1, 1, -1, -1], [0, -1, 1, 0, 0, -1]], np.int16)
    found = scores(confusion(truth, predicted, 2))
    assert found.n == 4
    assert found.oa == pytest.approx(50.0), "a missing prediction is a wrong one"
    assert found.per_class == pytest.approx((50.0, 50.0))
    assert found.f1 == pytest.approx((50.0, 100 * 2 / 3))
    assert found.iou == pytest.approx((100 / 3, 50.0))


def test_absent_classes_enter_no_mean_and_are_named() -> None:
    truth, predicted = np.array([[0, 0, 2, 2], [0, 0, 2, 1]], np.int16)
    found = scores(confusion(truth, predicted, 4))
    assert found.scored == (0, 2)
    assert found.aa == pytest.approx(75.0)
    for values in (found.per_class, found.f1, found.iou):
        assert [isnan(v) for v in values] == [False, True, False, True]
    assert found.mean_f1 == pytest.approx((100 + 200 / 3) / 2)


def test_kappa_at_its_limits() -> None:
    def kappa(truth: list[int], predicted: list[int]) -> float:
        return scores(confusion(np.array(truth), np.array(predicted), 2)).kappa

    assert kappa([0, 1, 1], [0, 1, 1]) == pytest.approx(100.0)
    assert kappa([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0.0)
    assert kappa([0, 1], [1, 0]) == pytest.approx(-100.0)
    assert kappa([0, 0], [0, 0]) == 0.0, "one class only: nothing beyond chance can be shown"
    assert kappa([0, 1, 1], [1, 1, 1]) == pytest.approx(0.0)


def test_kappa_of_random_guessing_is_zero_by_enumeration() -> None:
    """Averaged over every permutation of the prediction, observed agreement is the chance agreement."""
    truth, guesses = np.array([0, 0, 1, 2, 1]), set(permutations([0, 0, 0, 1, 2]))
    mean = np.mean([scores(confusion(truth, np.array(guess), 3)).kappa for guess in guesses])
    assert mean == pytest.approx(0.0, abs=1e-9)


def test_what_cannot_be_scored_is_refused() -> None:
    for shape in ((3,), (3, 5), (4, 3), (0, 0)):
        with pytest.raises(LabelError, match="confusion"):
            scores(np.ones(shape, np.int64))
    with pytest.raises(LabelError, match="no labelled pixel"):
        scores(confusion(np.full(4, -1), np.zeros(4, np.int16), 3))
    with pytest.raises(LabelError, match="codes"):
        confusion(np.array([1, 2, 3]), np.array([0, 1, 2]), 3)
    with pytest.raises(LabelError, match="shape"):
        confusion(np.zeros((2, 3), np.int16), np.zeros((3, 2), np.int16), 3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), within=st.integers(1, 3))
def test_boundary_accuracy_is_the_loop_over_pairs(seed: int, within: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(-1, 3, (3, 3)), np.ones((3, 4), int)).astype(np.int16)
    predicted = rng.integers(-1, 3, truth.shape).astype(np.int16)
    right = []
    for (y, x), t in np.ndenumerate(truth):
        around = truth[max(y - within, 0) : y + within + 1, max(x - within, 0) : x + within + 1]
        if t != -1 and np.any((around != t) & (around != -1)):
            right.append(predicted[y, x] == t)
    found = boundary_accuracy(truth, predicted, within_px=within)
    assert isnan(found) if not right else found == pytest.approx(100 * np.mean(right))


def test_boundary_accuracy_sees_the_border_only() -> None:
    truth = np.zeros((10, 20), np.int16)
    truth[:, 10:] = 1
    predicted = truth.copy()
    predicted[:, :8], predicted[:, 12:] = 1, 0
    assert boundary_accuracy(truth, predicted) == 100.0
    assert boundary_accuracy(truth, predicted, within_px=4) == pytest.approx(50.0)
    with pytest.raises(SettingError):
        boundary_accuracy(truth, predicted, within_px=0)


def test_calibration_error_by_hand() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.5, 0.5]])
    truth = np.array([0, 1, 1, 1, -1])
    # two bins, ]0.5, 1] holds all: confidence 3.1 / 4, accuracy 3 / 4
    assert expected_calibration_error(probs, truth, bins=2) == pytest.approx(0.025)
    # ten bins: 0.9 twice (accuracy 1/2), 0.6 and 0.7 (accuracy 1)
    assert expected_calibration_error(probs, truth, bins=10) == pytest.approx((0.8 + 0.4 + 0.3) / 4)
    # a confidence on the edge lies below it: 0.5 (right) and 0.6 (wrong) do not offset each other
    edge = np.array([[0.5, 0.5], [0.6, 0.4]])
    assert expected_calibration_error(edge, np.array([0, 1]), bins=2) == pytest.approx((0.5 + 0.6) / 2)


def test_calibration_error_at_its_limits() -> None:
    sure = np.eye(3)[[0, 1, 2, 0]]
    assert expected_calibration_error(sure, np.array([0, 1, 2, 0])) == 0.0
    assert expected_calibration_error(sure, np.array([1, 2, 0, 1])) == 1.0
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 60_000)
    truth = (rng.random(60_000)[:, None] > probs.cumsum(1)[:, :2]).sum(1)
    assert expected_calibration_error(probs, truth) < 0.01, "labels drawn from the probabilities are calibrated"
    assert expected_calibration_error(probs.reshape(200, 300, 3), truth.reshape(200, 300)) < 0.01
    with pytest.raises(LabelError):
        expected_calibration_error(probs, truth[:10])
    with pytest.raises(SettingError):
        expected_calibration_error(probs, truth, bins=0)


def test_mean_and_std() -> None:
    assert mean_and_std([3.0]) == {"mean": 3.0, "std": 0.0, "values": [3.0]}
    found = mean_and_std(np.array([1.0, 2.0, 4.0]))
    assert found["mean"] == pytest.approx(7 / 3)
    assert found["std"] == pytest.approx((((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2) ** 0.5)
    assert json.loads(json.dumps(found)) == found
    with pytest.raises(SettingError):
        mean_and_std([])


def test_paired_comparison() -> None:
    b = np.array([50.0, 61.0, 43.0, 70.0, 55.0, 48.0])
    gain = np.array([1.0, 2.0, 3.5, 4.0, 5.0, 6.0])
    found = paired(list(b + gain), list(b))
    assert found.mean_difference == pytest.approx(gain.mean())
    assert found.standard_error == pytest.approx(gain.std(ddof=1) / 6**0.5)
    assert (found.wins, found.losses, found.ties, found.n) == (6, 0, 0, 6)
    assert log2(found.p_value) == pytest.approx(-5), "all six signs alike: 2 of 2^6"
    mirrored = paired(list(b), list(b + gain))
    assert (mirrored.mean_difference, mirrored.losses) == (-found.mean_difference, 6)
    assert mirrored.p_value == pytest.approx(found.p_value)
    assert paired(list(b), list(b)).p_value == 1.0


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, float("nan")], [1.0, 2.0])])
def test_what_cannot_be_paired_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(SettingError):
        paired(a, b)
