"""Baselines of folders: classifiers of single pixels, as modules that answer like a network.

They read the channels as the plan prepares them, reduced and scaled as for the networks, and know nothing of what is
around a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.hsi.classical import SpectralClassifier, fit_svm
from hyperseg.medical.patches import IMAGE, LABELS, StoredCase

LINEAR_PIXELS, SVM_PIXELS, JUDGED_PIXELS = 20_000, 2_000, 20_000
MOST_ROUNDS = 300  # of the solver of the logistic regression
NEVER = -1e4  # score of a class that no pixel of the draw has
Fit = Callable[[NDArray[np.float32], NDArray[np.int64], int, int], nn.Module]
"""((n, C) values, (n,) classes, K, seed) -> (B, C, *S) to (B, K, *S)."""


class LinearPixels(nn.Module):
    """(B, C, *S) -> (B, K, *S): a matrix and a bias for every pixel alike.

    Args:
        weight: (K, C).
        bias: (K).
    """

    def __init__(self, weight: NDArray[Any], bias: NDArray[Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.movedim(1, -1), self.weight, self.bias).movedim(-1, 1)


class ClassifiedPixels(nn.Module):
    """(B, C, *S) -> (B, K, *S): log-probabilities of a classifier of spectra.

    Args:
        classifier: of (n, C) values.
        mean, spread: (C), what values are standardised by first.
    """

    def __init__(self, classifier: SpectralClassifier, mean: NDArray[Any], spread: NDArray[Any]) -> None:
        super().__init__()
        self.classifier, self.mean, self.spread = classifier, mean, spread

    def forward(self, x: Tensor) -> Tensor:
        rows = x.movedim(1, -1).reshape(-1, x.shape[1]).cpu().numpy()
        found = self.classifier.probabilities((rows - self.mean) / self.spread)
        scores = torch.from_numpy(np.log(found + 1e-12)).to(x.device)
        return scores.reshape(x.shape[0], *x.shape[2:], -1).movedim(-1, 1)


def fit_linear(values: NDArray[np.float32], classes: NDArray[np.int64], n_classes: int, seed: int) -> LinearPixels:
    """Multinomial logistic regression on standardised values, given back for values as they are."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = _scale(values)
    there = np.unique(classes)
    weight, bias = np.zeros((n_classes, values.shape[1])), np.full(n_classes, NEVER)
    bias[there] = 0.0
    if len(there) > 1:
        model = LogisticRegression(C=100.0, max_iter=MOST_ROUNDS).fit((values - mean) / spread, classes)
        coef, intercept = model.coef_, model.intercept_
        if len(there) == 2:  # one row of the second class against the first
            coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        weight[there] = coef / spread
        bias[there] = intercept - (coef / spread) @ mean
    return LinearPixels(weight, bias)


def fit_rbf(values: NDArray[np.float32], classes: NDArray[np.int64], n_classes: int, seed: int) -> nn.Module:
    """An RBF support vector machine on standardised values."""
    mean, spread = _scale(values)
    if len(np.unique(classes)) < 2:
        return fit_linear(values, classes, n_classes, seed)
    classifier = fit_svm((values - mean) / spread, classes, seed=seed, n_classes=n_classes, tune=False)
    return ClassifiedPixels(classifier, mean, spread)


def fit_pixels(
    fit: Fit, cases: Sequence[StoredCase], n_classes: int, *, pixels: int, seed: int
) -> nn.Module:  # fmt: skip
    """The better of two classifiers: of pixels drawn alike, and of as many pixels of every class as there are.

    Both are judged by their mean Dice over the foreground classes on other pixels of the same cases, so that a rare
    class is not lost to the many pixels of the background.

    Args:
        fit: the classifier.
        cases: that are learnt from.
        n_classes: K.
        pixels: that it is fitted on.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    values, classes = drawn(cases, max(pixels, JUDGED_PIXELS) * 2, rng)
    half = len(values) // 2
    judged, truth = values[half:][:JUDGED_PIXELS], classes[half:][:JUDGED_PIXELS]
    values, classes = values[:half], classes[:half]
    found: list[tuple[float, nn.Module]] = []
    for rows in (np.arange(min(pixels, half)), even(classes, pixels, n_classes, rng)):
        net = fit(values[rows], classes[rows], n_classes, seed).eval()
        with torch.no_grad():
            answer = net(torch.from_numpy(judged.T[None])).argmax(1)[0].numpy()
        found.append((_mean_dice(answer, truth, n_classes), net))
    return max(found, key=lambda pair: pair[0])[1]


def drawn(
    cases: Sequence[StoredCase], n: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:  # fmt: skip
    """About n labelled pixels, as many of each case, in random order: (n, C) values and (n,) classes."""
    each = -(-n // len(cases))
    values, classes = [], []
    for case in cases:
        image, labels = case.open(IMAGE), np.asarray(case.open(LABELS)).reshape(-1)
        there = np.flatnonzero(labels >= 0)
        rows = rng.choice(there, min(each, len(there)), replace=False)
        values.append(np.asarray(image).reshape(len(image), -1)[:, rows].T)
        classes.append(labels[rows])
    order = rng.permutation(sum(map(len, classes)))
    return np.concatenate(values).astype(np.float32)[order], np.concatenate(classes).astype(np.int64)[order]


def even(classes: NDArray[np.int64], n: int, n_classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """n rows with as many of every class; rows of rare classes come several times."""
    there = [np.flatnonzero(classes == k) for k in range(n_classes)]
    kept = [rows for rows in there if len(rows)]
    each = max(n // len(kept), 1)
    return np.concatenate([rng.choice(rows, each, replace=len(rows) < each) for rows in kept])


def _scale(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread = values.std(0, dtype=np.float64)
    return values.mean(0, dtype=np.float64), np.where(spread > 0, spread, 1.0)


def _mean_dice(answer: NDArray[Any], truth: NDArray[Any], n_classes: int) -> float:
    both = [2 * ((answer == k) & (truth == k)).sum() for k in range(1, n_classes)]
    sizes = [(answer == k).sum() + (truth == k).sum() for k in range(1, n_classes)]
    return float(np.mean([b / s if s else 1.0 for b, s in zip(both, sizes, strict=True)]))
