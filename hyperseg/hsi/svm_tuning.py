"""Cost, width and temperature of a support vector machine, chosen on training pixels alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hyperseg.hsi.svm_decisions import combined

DEFAULT_COST = 100.0
COSTS = (10.0, 100.0, 1000.0)
WIDTHS = (0.25, 1.0, 4.0)  # times gamma "scale", 1 / (bands * variance)
FOLDS = 3
MOST_BYTES = 1 << 30  # of kernels held by machines that are fitted side by side


def draw_folds(position: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) fold 0..2 of every pixel, -1 (always training) for classes with fewer pixels than folds."""
    fold = np.full(len(position), -1)
    for k in np.unique(position):
        members = rng.permutation(np.flatnonzero(position == k))
        if len(members) >= FOLDS:
            fold[members] = np.arange(len(members)) % FOLDS
    return fold


def tune_svm(
    x: NDArray[np.float64], position: NDArray[np.int64], fold: NDArray[np.int64], scale: float
) -> tuple[float, float, float, float]:
    """Cost, gamma, temperature and held-out accuracy of the pair to use."""
    n, tested = int(position.max()) + 1, fold >= 0
    votes = {pair: np.zeros((len(x), n)) for pair in ((cost, width) for width, cost in product(WIDTHS, COSTS))}
    for width, held, found in _held_out(x, position, fold, scale):
        for cost, values in zip(COSTS, found, strict=True):
            votes[cost, width][held] = values
    right = {pair: float((values.argmax(1) == position)[tested].mean()) for pair, values in votes.items()}
    usual, best = (DEFAULT_COST, 1.0), max(right, key=lambda pair: right[pair])
    # With a few hundred pixels most differences within the grid are chance: the usual pair keeps its place
    # unless it is beaten by more than a standard error.
    error = np.sqrt(right[best] * (1 - right[best]) / tested.sum())
    chosen = best if right[best] - right[usual] > error else usual
    heat = temperature(votes[chosen][tested], position[tested])
    return chosen[0], scale * chosen[1], heat, right[chosen]


def _held_out(
    x: NDArray[np.float64], position: NDArray[np.int64], fold: NDArray[np.int64], scale: float
) -> Iterator[tuple[float, NDArray[np.int64], list[NDArray[np.float64]]]]:
    """Of every width and fold: the width, the held-out pixels, and for every cost their decision values."""
    import torch
    from sklearn.svm import SVC

    from hyperseg.engine.lanes import in_order

    squares = (x**2).sum(1)
    distance = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)  # shared by the whole grid
    parts = [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(FOLDS)]

    def values(job: tuple[float, int]) -> list[NDArray[np.float64]]:
        width, f = job
        fit, held = parts[f]
        kernel = np.exp(-scale * width * distance[fit])
        among, seen = kernel.take(fit, 1), kernel.take(held, 1)
        machines = [SVC(C=cost, kernel="precomputed").fit(among, position[fit]) for cost in COSTS]
        return [combined(machine, seen[machine.support_]) for machine in machines]

    jobs = list(product(WIDTHS, range(FOLDS)))
    lanes = max(1, min(torch.get_num_threads(), len(jobs), MOST_BYTES // (2 * distance.nbytes)))
    for (width, f), found in zip(jobs, in_order(values, jobs, lanes=lanes), strict=True):
        yield width, parts[f][1], found


def temperature(decisions: NDArray[np.float64], position: NDArray[np.int64]) -> float:
    """The temperature under which the true classes of held-out pixels are most likely."""
    grid = np.geomspace(0.05, 5.0, 41)
    rows = np.arange(len(position))
    loss = [-np.log(np.maximum(softmax(decisions / t)[rows, position], 1e-12)).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.exp(values - values.max(1, keepdims=True))
    return values / values.sum(1, keepdims=True)
