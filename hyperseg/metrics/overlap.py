"""Overlap and distance of two masks: Dice, IoU, HD95, ASSD; of a class in one image or volume.

Empty masks: where neither the truth nor the prediction has the class, nothing is scored (NaN, and no mean counts the
case). Where one of them has it alone, Dice and IoU are 0 and distances, which need two surfaces, are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.core.tiles import box_around

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]
RULE = (
    "A class that is neither in the truth nor in the prediction of a case is not scored there; where one of them has "
    "it alone, Dice and IoU are 0 and there are no distances."
)
PERCENT = 95


@dataclass(frozen=True)
class Overlap:
    """How well a mask was predicted.

    Attributes:
        dice: 2 |A and B| / (|A| + |B|).
        iou: |A and B| / |A or B|.
        hd95: the larger of two 95th percentiles: of distances from the surface of A to that of B, and back.
        assd: mean distance of all surface voxels of both to the other surface.
        truth, predicted: voxels.
    """

    dice: float
    iou: float
    hd95: float
    assd: float
    truth: int
    predicted: int


def overlap(truth: Mask, predicted: Mask, spacing: tuple[float, ...] | None = None) -> Overlap:
    """Scores of one class.

    Args:
        truth, predicted: of one shape, of any number of axes.
        spacing: of voxels per axis; distances are in its unit. 1 if left out.

    Raises:
        LabelError: other shapes, or spacings for other axes.
    """
    if truth.shape != predicted.shape:
        raise LabelError(f"the truth has shape {truth.shape}, the prediction {predicted.shape}: use one grid.")
    if spacing is not None and len(spacing) != truth.ndim:
        raise LabelError(f"{len(spacing)} spacings for {truth.ndim} axes: give one per axis.")
    a, b, both = (int(np.count_nonzero(mask)) for mask in (truth, predicted, truth & predicted))
    nan = float("nan")
    if a + b == 0:
        return Overlap(nan, nan, nan, nan, 0, 0)
    hd95 = assd = nan
    if a and b:
        there, back = surface_distances(truth, predicted, spacing)
        hd95 = float(max(np.percentile(there, PERCENT), np.percentile(back, PERCENT)))
        assd = float((there.sum() + back.sum()) / (len(there) + len(back)))
    return Overlap(2 * both / (a + b), both / (a + b - both), hd95, assd, a, b)


def dice(truth: Mask, predicted: Mask) -> float:
    """Dice of one class by itself."""
    total = np.count_nonzero(truth) + np.count_nonzero(predicted)
    return 2 * np.count_nonzero(truth & predicted) / total if total else float("nan")


def surface_distances(a: Mask, b: Mask, spacing: tuple[float, ...] | None = None) -> tuple[Distances, Distances]:
    """From every surface voxel of `a` to the nearest one of `b`, and the other way; centre to centre.

    A voxel is on the surface where a neighbour across one of its faces is not in the mask, or outside the image.
    Neither mask is empty.
    """
    from scipy.ndimage import distance_transform_edt

    box = box_around(a | b)  # holds both surfaces, so that no distance changes
    surfaces = [_surface(mask[box]) for mask in (a, b)]
    away = [distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    return away[1][surfaces[0]], away[0][surfaces[1]]


def _surface(mask: Mask) -> Mask:
    from scipy.ndimage import binary_erosion

    surface: Mask = mask & ~binary_erosion(mask)
    return surface
