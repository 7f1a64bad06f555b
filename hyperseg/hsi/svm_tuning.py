"""Cost, width and temperature of a support vector machine, chosen on training pixels alone."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_COST = 100.0
COSTS = (10.0, 100.0, 1000.0)
WIDTHS = (0.25, 1.0, 4.0)  # times gamma "scale", 1 / (bands * variance)
FOLDS = 3


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
    from sklearn.svm import SVC

    squares = (x**2).sum(1)
    distance = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)  # shared by the whole grid
    n, tested = int(position.max()) + 1, fold >= 0
    found: dict[tuple[float, float], tuple[float, NDArray[np.float64]]] = {}
    for width, cost in product(WIDTHS, COSTS):
        kernel = np.exp(-scale * width * distance)
        votes = np.zeros((len(x), n))
        for f in range(FOLDS):
            fit, held = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            machine = SVC(C=cost, kernel="precomputed").fit(kernel[np.ix_(fit, fit)], position[fit])
            votes[held] = decisions(machine, kernel[np.ix_(held, fit)])
        found[cost, width] = float((votes.argmax(1) == position)[tested].mean()), votes
    usual, best = (DEFAULT_COST, 1.0), max(found, key=lambda pair: found[pair][0])
    top = found[best][0]
    # With a few hundred pixels most differences within the grid are chance: the usual pair keeps its place
    # unless it is beaten by more than a standard error.
    chosen = best if top - found[usual][0] > np.sqrt(top * (1 - top) / tested.sum()) else usual
    accuracy, votes = found[chosen]
    return chosen[0], scale * chosen[1], temperature(votes[tested], position[tested]), accuracy


def decisions(machine: Any, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) one-against-rest decision values; for two classes minus and plus half the single one."""
    values = machine.decision_function(x)
    return np.stack([-values / 2, values / 2], 1) if values.ndim == 1 else values


def temperature(decisions: NDArray[np.float64], position: NDArray[np.int64]) -> float:
    """The temperature under which the true classes of held-out pixels are most likely."""
    grid = np.geomspace(0.05, 5.0, 41)
    rows = np.arange(len(position))
    loss = [-np.log(np.maximum(softmax(decisions / t)[rows, position], 1e-12)).mean() for t in grid]
    return float(grid[int(np.argmin(loss))])


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.exp(values - values.max(1, keepdims=True))
    return values / values.sum(1, keepdims=True)
