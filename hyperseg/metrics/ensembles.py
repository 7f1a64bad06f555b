"""Several answers to one image: how near they are to what experts say, how far apart, and whether doubt finds errors.

Distance of two masks: 1 - IoU, the mean over the classes that either of them has. Where neither has any, as two empty
masks, it is 0: they are equal. Where one of them has a class alone, that class counts as 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError
from hyperseg.metrics.calibration import scored_pixels
from hyperseg.metrics.detection import auroc
from hyperseg.metrics.scores import NOTHING, Labels


def energy_distance(samples: Labels, references: Labels, classes: Sequence[int] = (1,)) -> float:
    """Generalised energy distance, squared, of drawn masks and those of experts: 0 (equal distributions) to 2.

    Twice the mean distance of a sample and a reference, less the mean distance of two samples and that of two
    references, each drawn with replacement: of one sample and one reference it is twice their distance.

    Args:
        samples: (R, *S) classes.
        references: (E, *S) classes; a pixel that one of them does not know (-1) counts nowhere.
        classes: that count, as a rule all but the background.

    Raises:
        LabelError: nothing to compare, or shapes that do not fit.

    Source: Kohl et al., "A Probabilistic U-Net for Segmentation of Ambiguous Images", NeurIPS 2018, eq. 5.
    """
    a, b = _known(samples, references)
    apart, drawn, experts = (_distances(x, y, classes).mean() for x, y in ((a, b), (a, a), (b, b)))
    return float(2 * apart - drawn - experts)


def diversity(samples: Labels, classes: Sequence[int] = (1,)) -> float:
    """Mean distance of two different samples, 0 (all alike) to 1; NaN of a single one.

    Args:
        samples: (R, *S) classes; a pixel that is -1 in one of them counts nowhere.
        classes: that count.

    Raises:
        LabelError: nothing to compare.
    """
    (a,) = _known(samples)
    n = len(a)
    return float(_distances(a, a, classes).sum() / (n * (n - 1))) if n > 1 else float("nan")


def brier(probs: NDArray[np.floating[Any]], truth: Labels) -> float:
    """Mean over pixels of the squared error of the probabilities, summed over classes: 0 (sure and right) to 2.

    Args:
        probs: (*S, K).
        truth: (*S) classes, -1 = not scored.

    Raises:
        LabelError: other shapes, labels beyond K, or nothing to score.

    Source: Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950.
    """
    p, t = scored_pixels(probs, truth)
    said = np.take_along_axis(p, t[:, None], 1)[:, 0]
    return float(((p**2).sum(1) - 2 * said + 1).mean())


def error_auroc(doubt: NDArray[np.floating[Any]], predicted: Labels, truth: Labels) -> float:
    """How often a wrong pixel is doubted more than a right one, see `auroc`; NaN where all are right, or none.

    Args:
        doubt: (*S), higher for less certain.
        predicted, truth: (*S) classes; -1 in the truth is not scored.

    Raises:
        LabelError: other shapes.
    """
    if not doubt.shape == predicted.shape == truth.shape:
        raise LabelError(f"doubt {doubt.shape}, prediction {predicted.shape} and truth {truth.shape}: use one grid.")
    known = truth != UNLABELLED
    return auroc(doubt[known], predicted[known] != truth[known])


def _known(*masks: Labels) -> list[Labels]:
    """(n, *S) sets of masks as (n, pixels that all masks know)."""
    if len({found.shape[1:] for found in masks}) > 1 or min(found.size for found in masks) == 0:
        raise LabelError(
            f"masks of shapes {', '.join(str(m.shape) for m in masks)}: give at least one each, on one grid."
        )
    known = np.logical_and.reduce([(found != UNLABELLED).all(0) for found in masks])
    if not known.any():
        raise LabelError(NOTHING)
    return [found[:, known] for found in masks]


def _distances(a: Labels, b: Labels, classes: Sequence[int]) -> NDArray[np.float64]:
    """(n, m) distances of (n, pixels) and (m, pixels) masks, see the module."""
    iou, present = np.zeros((2, len(a), len(b)))
    for k in classes:
        p, q = a == k, b == k
        both = np.array([[np.count_nonzero(x & y) for y in q] for x in p])
        either = p.sum(1)[:, None] + q.sum(1) - both
        iou += both / np.maximum(either, 1)
        present += either > 0
    return np.where(present > 0, 1 - iou / np.maximum(present, 1), 0.0)
