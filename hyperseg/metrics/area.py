"""Areas of classes, corrected for what the map gets wrong, with 95 % confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import LabelError

Z95 = 1.959964  # half width of a 95 % interval in standard errors
WORST = 0.25  # no share has a larger variance than that of a toss of a coin

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Areas:
    """Areas in the unit of `pixel_area`, accuracies in percent; NaN marks what the reference cannot tell.

    Attributes:
        mapped: (K) area as mapped.
        estimated, error: (K) area corrected for the errors of the map, and its standard error.
        low, high: (K) 95 % confidence interval of the area.
        users, users_error: (K) user's accuracy (precision) and its standard error.
        producers, producers_error: (K) producer's accuracy (recall) over the mapped area, and its standard error.
        overall, overall_error: overall accuracy over the mapped area, and its standard error.
        total: mapped area of all classes.
        assessed: the part of `total` that the estimates are about: mapped classes with a reference pixel.
        unassessed: mapped classes without any reference pixel; what stands there nobody knows.
        unseen: classes that no reference pixel belongs to: their area is not known.
        lone: mapped classes with one reference pixel, or parcel; their variance is taken to be the largest possible.
        left_out: reference pixels without a class in the map; they lie outside the mapped area.
        parcels: (K) reference parcels of every class, where these are what was drawn; else None.
        thin: classes with too few parcels for an interval.
        drawn: how many parcels there are; 0 where pixels are what was drawn.
        effects: (K) design effect of the area: its variance over that for pixels drawn one by one; None for pixels.
    """

    mapped: Numbers
    estimated: Numbers
    error: Numbers
    low: Numbers
    high: Numbers
    users: Numbers
    users_error: Numbers
    producers: Numbers
    producers_error: Numbers
    overall: float
    overall_error: float
    total: float
    assessed: float
    unassessed: tuple[int, ...]
    unseen: tuple[int, ...]
    lone: tuple[int, ...]
    left_out: int
    parcels: tuple[int, ...] | None = None
    thin: tuple[int, ...] = ()
    drawn: int = 0
    effects: Numbers | None = None


def adjusted_areas(
    confusion: NDArray[np.integer[Any]], mapped_pixels: ArrayLike, *, pixel_area: ArrayLike = 1.0
) -> Areas:
    """Estimate the area of every class from a map and a sample of reference pixels.

    The mapped classes are the strata. A sample drawn at random, or at random within each mapped class, makes the
    estimate unbiased, however wrong the map is; any other sample does so only as far as it stands for the scene.

    A mapped class without reference pixels is left out of the estimate rather than taken to be right or like the
    rest: weights are those of the other classes, and areas are about their part of the map (`assessed`). The area
    of a class is NaN where no reference pixel belongs to it, or where none lies on its own part of the map.

    Args:
        confusion: (K, K) or (K, K + 1) counts of reference pixels as of `metrics.confusion`: rows true, columns
            mapped, the last one (not mapped at all) outside the mapped area and not used.
        mapped_pixels: (K) pixels of every class in the whole map.
        pixel_area: area of one pixel, or (K) its mean over the pixels mapped as each class.

    Raises:
        LabelError: another shape, negative counts, no reference pixel on the map, or more of them in a class
            than the map has pixels of it.

    Source: Olofsson et al., "Good practices for estimating area and assessing accuracy of land change", Remote
        Sensing of Environment 148 (2014): shares eq. 4, accuracies eqs. 1-3, their variances eqs. 5-7, areas
        eqs. 8-11; n - 1 below, no finite population correction.
        Pixels that were drawn in parcels are for `area_parcels.parcel_areas`.
    Differs: one reference pixel in a mapped class gives no variance; the largest possible (1/4) stands for it, so
        that intervals are rather too wide than too narrow. Intervals end at 0 and at the assessed area.
    """
    counts, pixels = np.asarray(confusion), np.asarray(mapped_pixels, np.float64)
    k = _check(counts, pixels)
    n = counts[:, :k].T.astype(np.float64)  # rows mapped, columns true, as in the paper
    area = pixels * np.asarray(pixel_area, np.float64)
    drawn = n.sum(1)
    known = drawn > 0
    assessed = float(area[known].sum())
    shares = n / np.where(known, drawn, 1)[:, None]  # of what is mapped as i, the share that is j
    variances = shares * (1 - shares) / np.where(drawn > 1, drawn - 1, 1)[:, None]
    variances[drawn == 1] = WORST
    strata = np.where(known, area, 0.0)
    part = strata[:, None] * shares
    estimated, squared = part.sum(0), (strata**2) @ variances
    right, wrong = np.diagonal(part), np.diagonal(shares)
    unassessed, unseen = (area > 0) & ~known, counts.sum(1) == 0
    blank = unseen | unassessed
    telling = ~blank & (estimated > 0)
    own = strata**2 * np.diagonal(variances)
    recall = np.divide(right, estimated, out=np.full(k, np.nan), where=telling)
    spread = (1 - recall) ** 2 * own + recall**2 * (squared - own)
    recall_error = np.divide(np.sqrt(spread), estimated, out=np.full(k, np.nan), where=telling)
    error = np.where(blank, np.nan, np.sqrt(squared))
    estimated = np.where(blank, np.nan, estimated)
    return Areas(
        mapped=area,
        estimated=estimated,
        error=error,
        low=np.clip(estimated - Z95 * error, 0, None),
        high=np.clip(estimated + Z95 * error, None, assessed),
        users=100 * np.where(known, wrong, np.nan),
        users_error=100 * np.where(drawn > 1, np.sqrt(np.diagonal(variances)), np.nan),
        producers=100 * recall,
        producers_error=100 * recall_error,
        overall=100 * float(right.sum()) / assessed,
        overall_error=100 * float(np.sqrt(own.sum())) / assessed,
        total=float(area.sum()),
        assessed=assessed,
        unassessed=tuple(np.flatnonzero(unassessed).tolist()),
        unseen=tuple(np.flatnonzero(unseen).tolist()),
        lone=tuple(np.flatnonzero(drawn == 1).tolist()),
        left_out=int(counts[:, k:].sum()),
    )


def _check(counts: NDArray[Any], pixels: Numbers) -> int:
    """Refuse what cannot be a map and its reference; returns the number of classes."""
    k, columns = counts.shape if counts.ndim == 2 else (0, 0)
    if k == 0 or columns - k not in (0, 1) or pixels.shape != (k,):
        raise LabelError(
            f"areas need a confusion matrix (K, K) or (K, K + 1) and K numbers of mapped pixels, got shapes "
            f"{counts.shape} and {pixels.shape}."
        )
    if counts.min() < 0 or pixels.min() < 0:
        raise LabelError("areas need counts of pixels, and some are negative.")
    drawn = counts[:, :k].sum(0)
    if not drawn.any():
        raise LabelError("no reference pixel lies on the map: nothing tells how right it is.")
    if (drawn > pixels).any():
        worst = int(np.argmax(drawn - pixels))
        raise LabelError(
            f"{int(drawn[worst])} reference pixels are mapped as class {worst}, but the map has {pixels[worst]:g} "
            "of them: confusion matrix and map do not belong together."
        )
    return k
