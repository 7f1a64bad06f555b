"""Calibration: whether a map is right as often as it says, and the temperature under which it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, SettingError
from hyperseg.metrics.scores import NOTHING, Labels, check_labels

BINS = 15
LEAST = 1e-6  # a smaller probability counts as this: a zero would stay zero at every temperature
COLDEST, HOTTEST = 0.25, 20.0


class Bin(TypedDict):
    """Pixels of about one confidence; percent, None where there is no pixel.

    Attributes:
        pixels: how many.
        share: of all pixels.
        confidence: their mean.
        accuracy: how many of them are right.
    """

    pixels: int
    share: float
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """How often a map is right where it says so.

    Attributes:
        pixels: (B,) in every bin of confidence, of equal width from 0 to 1.
        sure: (B,) sum of their confidence.
        right: (B,) how many of them are right.
    """

    pixels: NDArray[np.int64]
    sure: NDArray[np.float64]
    right: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean gap between confidence and accuracy over the pixels, 0 to 1."""
        return float(np.abs(self.right - self.sure).sum() / self.pixels.sum())

    def rows(self) -> list[Bin]:
        """The table, in percent; JSON."""
        n, total = np.maximum(self.pixels, 1), max(int(self.pixels.sum()), 1)
        return [
            {
                "pixels": int(count),
                "share": float(100 * count / total),
                "confidence": float(100 * sure / k) if count else None,
                "accuracy": float(100 * right / k) if count else None,
            }
            for count, k, sure, right in zip(self.pixels, n, self.sure, self.right, strict=True)
        ]


def reliability(probs: NDArray[np.floating[Any]], truth: Labels, bins: int = BINS) -> Reliability:
    """Confidence and accuracy over equal-width bins of confidence.

    Args:
        probs: (*S, K) class probabilities.
        truth: (*S) classes, -1 = not scored.
        bins: bin i holds confidences in ]i / bins, (i + 1) / bins].

    Raises:
        LabelError: other shapes, labels beyond K, or nothing to score. SettingError: fewer than one bin.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2; 15 bins as there.
    """
    if bins < 1:
        raise SettingError(f"bins = {bins}: give at least 1.")
    p, t = scored_pixels(probs, truth)
    sure, right = p.max(-1), (p.argmax(-1) == t).astype(np.float64)
    which = np.searchsorted(np.arange(1, bins) / bins, sure, side="left")
    said, true = (np.bincount(which, weights, minlength=bins).astype(np.float64) for weights in (sure, right))
    return Reliability(np.bincount(which, minlength=bins), said, true)


def scored_pixels(probs: NDArray[np.floating[Any]], truth: Labels) -> tuple[NDArray[np.float64], Labels]:
    """(n, K) probabilities and (n) classes of the pixels that have one; arguments and errors as `reliability`."""
    if probs.ndim < 2 or probs.shape[:-1] != truth.shape:
        raise LabelError(f"probabilities of shape {probs.shape} do not fit labels {truth.shape}: expected (*S, K).")
    known = truth != UNLABELLED
    if not known.any():
        raise LabelError(NOTHING)
    p, t = probs[known].astype(np.float64), truth[known]
    check_labels(t, t, probs.shape[-1])
    return p, t


def expected_calibration_error(probs: NDArray[np.floating[Any]], truth: Labels, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy (0..1, 0 is calibrated); arguments and errors as `reliability`.

    Source: Guo et al. 2017, eq. 3.
    """
    return reliability(probs, truth, bins).ece


def pooled(tables: Iterable[Sequence[Bin]]) -> list[Bin]:
    """Tables of several repeats as one, over the pixels of all."""
    found = []
    for rows in zip(*tables, strict=True):
        n = np.array([row["pixels"] for row in rows])
        found.append([n.sum(), *(sum((row[of] or 0) / 100 * row["pixels"] for row in rows) for of in _OF)])
    return Reliability(*np.array(found).T).rows()


_OF = ("confidence", "accuracy")


def tempered(probs: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float32]:
    """Probabilities to the power 1 / temperature, summing to one again; the most probable class stays what it is.

    Above 1 they become less certain, below 1 more. At 1 nothing changes.

    Args:
        probs: (*S, K).
        temperature: above 0.

    Source: Guo et al. 2017, section 4.2, with log-probabilities for the scores (which differ by a constant).
    """
    given = np.asarray(probs, np.float32)
    if temperature == 1:
        return given
    log = np.log(np.maximum(given, np.float32(LEAST)), dtype=np.float64)
    found = np.exp((log - log.max(-1, keepdims=True)) / temperature)
    found = (found / found.sum(-1, keepdims=True)).astype(np.float32)
    best = given.argmax(-1)[..., None]
    if (moved := found.argmax(-1)[..., None] != best).any():  # two that differed were rounded to one number
        first = np.nextafter(found.max(-1, keepdims=True), np.float32(2))
        np.put_along_axis(found, best, np.where(moved, first, np.take_along_axis(found, best, -1)), -1)
    return found


def likeliest_temperature(
    probs: NDArray[np.floating[Any]], truth: Labels, weights: NDArray[np.float64], *, expected: float, spread: float
) -> float:
    """The temperature under which the true classes of pixels are most likely, as far as these are enough to tell.

    The most probable one a posteriori: its logarithm is expected around that of `expected`, and the weights say for
    how many independent observations the pixels stand.

    Args:
        probs: (n, K).
        truth: (n) classes 0..K-1.
        weights: (n) of the pixels; their sum is the number of independent observations.
        expected: the temperature where nothing is observed.
        spread: standard deviation that the logarithm is expected to have.

    Source: Guo et al. 2017, section 4.2. Differs: the prior, ours, as held-out fields are few.
    """
    from scipy.optimize import minimize_scalar

    log = np.log(np.maximum(probs.astype(np.float64), LEAST))
    rows = np.arange(len(truth))

    def loss(of: float) -> float:
        z = log / np.exp(of)
        z -= z.max(1, keepdims=True)
        said = z[rows, truth] - np.log(np.exp(z).sum(1))
        return float((of - np.log(expected)) ** 2 / (2 * spread**2) - weights @ said)

    ends = (np.log(COLDEST), np.log(HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x))
