"""Accuracy of a map: confusion, OA, AA, kappa, F1, IoU, boundaries, and means over repeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from hyperseg.core import UNLABELLED, LabelError, SettingError

Labels = NDArray[np.integer[Any]]
NOTHING = "no labelled pixel to score: the test mask or the ground truth is empty."


@dataclass(frozen=True)
class Scores:
    """Accuracies in percent; NaN marks classes the ground truth does not hold, which no mean contains.

    Attributes:
        oa: overall accuracy.
        aa: average accuracy: the mean recall over `scored`.
        kappa: Cohen's kappa; 0 where chance alone explains everything (one class in truth and prediction).
        per_class: (K) recall, also called producer's accuracy.
        f1: (K) F1, also called Dice.
        iou: (K) intersection over union.
        scored: classes that occur in the ground truth.
        n: number of scored pixels.
    """

    oa: float
    aa: float
    kappa: float
    per_class: tuple[float, ...]
    f1: tuple[float, ...]
    iou: tuple[float, ...]
    scored: tuple[int, ...]
    n: int

    @property
    def mean_f1(self) -> float:
        return float(np.mean([self.f1[k] for k in self.scored]))

    @property
    def mean_iou(self) -> float:
        return float(np.mean([self.iou[k] for k in self.scored]))


class Repeats(TypedDict):
    """A score over repeats."""

    mean: float
    std: float
    values: list[float]


def confusion(truth: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """(K, K + 1) pixels: row = true class, column = predicted class, last column = no prediction.

    Only the *true* label decides what is scored: -1 in `truth` is skipped, -1 in `predicted` (no prediction)
    is an error of the method and counts as wrong.

    Args:
        truth, predicted: of one shape, classes 0..K-1 or -1.
        n_classes: K.

    Raises:
        LabelError: other shapes or labels outside -1..K-1.
    """
    check_labels(truth, predicted, n_classes)
    scored = truth != UNLABELLED
    rows, columns = truth[scored].astype(np.int64), predicted[scored].astype(np.int64)
    columns[columns == UNLABELLED] = n_classes
    shape = (n_classes, n_classes + 1)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def scores(confusion: NDArray[np.int64]) -> Scores:
    """Accuracies of a confusion matrix: (K, K), or (K, K + 1) with a last column for "no prediction".

    Raises:
        LabelError: another shape, or nothing to score.
    """
    k, columns = confusion.shape if confusion.ndim == 2 else (0, 0)
    if k == 0 or columns - k not in (0, 1):
        raise LabelError(f"a confusion matrix is (K, K) or (K, K + 1), got shape {confusion.shape}.")
    n = int(confusion.sum())
    if n == 0:
        raise LabelError(NOTHING)
    right = np.diagonal(confusion).astype(np.float64)
    true, said = confusion.sum(1).astype(np.float64), confusion[:, :k].sum(0).astype(np.float64)
    present = true > 0
    observed, chance = right.sum() / n, float(true @ said) / n**2
    kappa = 0.0 if chance >= 1.0 else (observed - chance) / (1.0 - chance)
    recall = _percent(right, true, present)
    return Scores(
        oa=100.0 * float(observed),
        aa=float(recall[present].mean()),
        kappa=100.0 * float(kappa),
        per_class=tuple(recall.tolist()),
        f1=tuple(_percent(2 * right, true + said, present).tolist()),
        iou=tuple(_percent(right, true + said - right, present).tolist()),
        scored=tuple(int(c) for c in np.flatnonzero(present)),
        n=n,
    )


def boundary_accuracy(truth: Labels, predicted: Labels, *, within_px: int = 2) -> float:
    """Overall accuracy, in percent, near the borders between classes.

    A labelled pixel is near a border when a pixel of *another class* lies within a Chebyshev distance of
    `within_px` (at least 1) in the ground truth; the border to unlabelled ground is none. NaN where no pixel is near
    one. Maps are (*S) classes as in `confusion`.

    Raises:
        LabelError: other shapes. SettingError: a distance below 1.
    """
    if within_px < 1:
        raise SettingError(f"within_px = {within_px} holds no other pixel: give at least 1.")
    if truth.shape != predicted.shape:
        raise LabelError(f"truth has shape {truth.shape}, the prediction {predicted.shape}: use one grid.")
    known = truth != UNLABELLED
    wide = truth.astype(np.int64)
    side, none = (2 * within_px + 1, int(wide.max(initial=0)) + 1)  # SciPy passes cval as a double: keep it small
    highest = maximum_filter(wide, size=side, mode="constant", cval=UNLABELLED)
    lowest = minimum_filter(np.where(known, wide, none), size=side, mode="constant", cval=none)
    near = known & ((highest != wide) | (lowest != wide))
    return 100.0 * float((truth[near] == predicted[near]).mean()) if near.any() else float("nan")


def mean_and_std(values: Iterable[float]) -> Repeats:
    """Mean and sample standard deviation (ddof = 1; 0.0 for a single value) over repeats.

    Raises:
        SettingError: no value.
    """
    given = [float(v) for v in values]
    if not given:
        raise SettingError("no value to average: run at least one repeat.")
    std = float(np.std(given, ddof=1)) if len(given) > 1 else 0.0
    return {"mean": float(np.mean(given)), "std": std, "values": given}


def _percent(part: NDArray[np.float64], whole: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.divide(100.0 * part, whole, out=np.full(part.shape, np.nan), where=present)


def check_labels(truth: Labels, predicted: Labels, n_classes: int) -> None:
    """Raise LabelError unless both have one shape and hold classes 0..K-1 or -1."""
    if truth.shape != predicted.shape:
        raise LabelError(f"truth has shape {truth.shape}, the prediction {predicted.shape}: use one grid.")
    for name, array in (("truth", truth), ("prediction", predicted)):
        if array.size and (array.min() < UNLABELLED or array.max() >= n_classes):
            raise LabelError(
                f"the {name} runs from {array.min()} to {array.max()}, expected -1 or 0..{n_classes - 1}: "
                f"translate the file's codes first."
            )
