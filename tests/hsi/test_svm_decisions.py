"""Decision values as matrix products are libsvm's, and tuning in parts chooses what cross-validation by hand does."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.svm import SVC

from hyperseg.hsi.svm_decisions import combined, decisions
from hyperseg.hsi.svm_tuning import COSTS, DEFAULT_COST, FOLDS, WIDTHS, draw_folds, tune_svm

Floats = NDArray[np.float64]


def drawn(counts: list[int], *, bands: int = 6, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Overlapping classes of so many pixels."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), bands)) + 0.5 * y[:, None], y


def machine_of(x: Floats, y: NDArray[np.int64], *, cost: float = 100.0) -> Any:
    return SVC(C=cost, gamma=0.1, break_ties=len(np.unique(y)) > 2).fit(x, y)


@pytest.mark.parametrize("counts", [[12, 30], [1, 1], [20, 1, 7], [15] * 5, [40, 3, 1, 9, 2, 2, 12]])
@pytest.mark.parametrize("cost", [1e-3, 100.0])
def test_decision_values_and_choices_are_those_of_libsvm(counts: list[int], cost: float) -> None:
    x, y = drawn(counts)
    machine = machine_of(x, y, cost=cost)
    z = np.concatenate([x, 3 * np.random.default_rng(1).normal(size=(3000, 6)) + 1, np.full((1, 6), 1e7)])
    found, expected = decisions(machine, z), machine.decision_function(z)
    if len(counts) == 2:
        np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, atol=1e-9, rtol=0)
        np.testing.assert_allclose(found.sum(1), 0, atol=1e-12)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)
    told = np.diff(np.sort(found, 1)[:, -2:])[:, 0] > 0  # not the far pixel between two machines of one pixel each
    assert told.sum() >= len(z) - 1
    np.testing.assert_array_equal(found.argmax(1)[told], machine.predict(z)[told])


def test_votes_and_ties_by_hand() -> None:
    x, y = drawn([14] * 4, seed=3)
    machine = machine_of(x, y)
    machine.decision_function_shape = "ovo"
    z = 2 * np.random.default_rng(2).normal(size=(500, 6)) + 1
    pairs, expected, tied = machine.decision_function(z), np.zeros((500, 4)), 0
    for n, values in enumerate(pairs):
        votes, total = [0] * 4, [0.0] * 4
        for (i, j), value in zip(combinations(range(4), 2), values, strict=True):
            votes[i if value >= 0 else j] += 1
            total[i] += value
            total[j] -= value
        tied += sorted(votes)[-1] == sorted(votes)[-2]
        expected[n] = [v + t / (3 * (abs(t) + 1)) for v, t in zip(votes, total, strict=True)]
    assert tied > 10
    np.testing.assert_allclose(decisions(machine, z), expected, atol=1e-9, rtol=0)


def test_a_pair_that_decides_nothing_is_won_by_the_earlier_class() -> None:
    x, y = np.repeat(np.eye(3), 2, 0), np.repeat(np.arange(3), 2)  # equally far from each other
    machine = machine_of(x, y)
    nowhere = np.zeros((len(machine.support_), 1))
    machine.intercept_[:] = 0
    np.testing.assert_array_equal(combined(machine, nowhere), [[2, 1, 0]])


@pytest.mark.parametrize("block", [1, 700, 10**7])
def test_blocks_of_any_size_give_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn([15] * 3)
    machine, z = machine_of(x, y), 2 * np.random.default_rng(1).normal(size=(101, 6))
    expected = decisions(machine, z)
    monkeypatch.setattr("hyperseg.hsi.svm_decisions.BLOCK_VALUES", block)
    np.testing.assert_allclose(decisions(machine, z), expected, atol=1e-12, rtol=0)
    assert decisions(machine, z[:0]).shape == (0, 3)


def cross_validated(x: Floats, y: NDArray[np.int64], fold: NDArray[np.int64], scale: float) -> tuple[float, float]:
    """The pair to use and its accuracy, from machines that see spectra."""
    right = {}
    for width in WIDTHS:
        for cost in COSTS:
            hits = []
            for f in range(FOLDS):
                machine = SVC(C=cost, gamma=scale * width, break_ties=y.max() > 1).fit(x[fold != f], y[fold != f])
                hits.append(machine.predict(x[fold == f]) == y[fold == f])
            right[cost, width] = float(np.concatenate(hits).mean())
    best = max(right, key=lambda pair: right[pair])
    clear = right[best] - right[DEFAULT_COST, 1.0] > np.sqrt(right[best] * (1 - right[best]) / (fold >= 0).sum())
    cost, width = best if clear else (DEFAULT_COST, 1.0)
    return cost, scale * width


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_the_pair_is_that_of_cross_validation_by_hand(seed: int, threads: int) -> None:
    x, y = drawn([30, 25, 2, 18] if seed % 2 else [40, 40], seed=seed)
    if seed == 2:
        y = (np.floor(3 * x[:, :2]).sum(1) % 2).astype(np.int64)  # finer than the usual width can follow
    fold = draw_folds(y, np.random.default_rng(seed))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        cost, gamma, heat, accuracy = tune_svm(x, y, fold, 0.1)
    finally:
        torch.set_num_threads(before)
    assert (cost, gamma) == cross_validated(x, y, fold, 0.1)
    assert 0 < accuracy <= 1
    assert heat > 0


def test_as_many_threads_as_one_likes_and_little_memory_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn([30, 25, 18])
    fold = draw_folds(y, np.random.default_rng(0))
    expected = tune_svm(x, y, fold, 0.1)
    for most in (1, 1 << 40):
        monkeypatch.setattr("hyperseg.hsi.svm_tuning.MOST_BYTES", most)
        assert tune_svm(x, y, fold, 0.1) == expected
