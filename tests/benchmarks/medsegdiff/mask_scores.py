"""Scores of bench_medsegdiff.py: of probabilities, of masks that were drawn, and of what uncertainty says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hyperseg.metrics.calibration import expected_calibration_error
from hyperseg.metrics.ensembles import brier, diversity, energy_distance, error_auroc
from hyperseg.metrics.overlap import overlap

NEAR_PX = 5  # "near": so far from the object's outline, where something can be decided wrongly
Masks = NDArray[np.bool_]


def decided(scores: Tensor) -> Masks:
    """(n, 2, H, W) -> (n, H, W) where the object is likelier."""
    found: Masks = (scores[:, 1] > scores[:, 0]).cpu().numpy()
    return found


def overlaps(truth: Masks, predicted: Masks) -> dict[str, float]:
    """Percent and pixels: means over images; of all pixels together ("micro").

    Where neither has the object nothing is scored; where one of them has it alone Dice and IoU are 0, see `overlap`.
    """
    each = [overlap(a, b) for a, b in zip(truth, predicted, strict=True)]
    both, sizes = int((truth & predicted).sum()), int(truth.sum() + predicted.sum())
    found = {of: np.array([getattr(one, of) for one in each]) for of in ("dice", "iou", "hd95")}
    empty = ~truth.any((1, 2))
    return {
        "dice": 100 * float(np.nanmean(found["dice"])),
        "iou": 100 * float(np.nanmean(found["iou"])),
        "hd95": float(np.nanmean(found["hd95"])) if np.isfinite(found["hd95"]).any() else float("nan"),
        "micro": 100 * 2 * both / max(sizes, 1),
        "false_alarms": float(predicted[empty].any((1, 2)).mean()) if empty.any() else float("nan"),
    }


def calibration(truth: Masks, mean: Tensor) -> dict[str, float]:
    """ECE and Brier in percent of all pixels, and of those near outlines."""
    probs, labels = mean.movedim(1, -1).cpu().numpy(), truth.astype(np.int16)
    near = np.where(near_outlines(truth), labels, np.int16(-1))
    return {
        "ece": 100 * expected_calibration_error(probs, labels),
        "ece_near": 100 * expected_calibration_error(probs, near),
        "brier": 100 * brier(probs, labels),
        "brier_near": 100 * brier(probs, near),
    }


def near_outlines(truth: Masks) -> Masks:
    """(n, H, W) pixels within `NEAR_PX` of an object's outline, on either side."""
    found = np.zeros_like(truth)
    for near, mask in zip(found, truth, strict=True):
        if mask.any():
            near |= (distance_transform_edt(mask) <= NEAR_PX) & (distance_transform_edt(~mask) <= NEAR_PX)
    return found


def finds_errors(truth: Masks, scores: Tensor, doubt: Tensor) -> float:
    """AUROC, percent: how well (n, H, W) doubt tells wrong pixels from right ones, all images together."""
    return 100 * error_auroc(doubt.cpu().numpy(), decided(scores).astype(np.int16), truth.astype(np.int16))


def distances(truth: Masks, drawn: Masks) -> dict[str, float]:
    """Squared energy distance and diversity in percent, means over images; (n, H, W) and (n, R, H, W)."""
    pairs = [(mask[None].astype(np.int16), some.astype(np.int16)) for mask, some in zip(truth, drawn, strict=True)]
    apart = [diversity(some) if len(some) > 1 else 0.0 for _, some in pairs]
    ged = [energy_distance(some, mask) for mask, some in pairs]
    return {"ged": 100 * float(np.mean(ged)), "diversity": 100 * float(np.mean(apart))}


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    """Numbers to four digits behind the point, so that a line can be read; NaN as null."""
    told: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict):
            told[name] = rounded(value)
        elif isinstance(value, float):
            told[name] = None if np.isnan(value) else round(value, 4)
        else:
            told[name] = value
    return told
