"""Intervals of areas where reference pixels come in parcels, which are right or wrong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.special import stdtrit

from hyperseg.core import UNLABELLED, LabelError
from hyperseg.metrics.area import WORST, Areas, Numbers, adjusted_areas
from hyperseg.metrics.design import FEWEST
from hyperseg.metrics.scores import confusion

AT_ONCE = 1 << 22  # numbers in memory

Codes = NDArray[np.integer[Any]]


def parcel_areas(
    truth: Codes, mapped: Codes, parcels: Codes, mapped_pixels: ArrayLike, *, pixel_area: ArrayLike = 1.0
) -> Areas:
    """`adjusted_areas` with errors and intervals for reference pixels that were drawn in whole parcels.

    The estimates are the same; they are ratios of sums over parcels, and their errors come from how much the parcels
    differ among each other. A mapped class met by a single parcel gets the largest possible variance, as one pixel
    does there. A class with fewer than three parcels of its own gets no error and no interval (`Areas.thin`); nor does
    user's accuracy where fewer than three parcels lie on ground mapped as the class.

    Args:
        truth, mapped, parcels: (n) of every reference pixel: its class 0..K-1, what it was mapped as (-1 = not at
            all), and the number of its parcel.
        mapped_pixels: (K) pixels of every class in the whole map.
        pixel_area: as in `adjusted_areas`.

    Raises:
        LabelError: other shapes, or as `adjusted_areas`.

    Source: Stehman, "Estimating standard errors of accuracy assessment statistics under cluster sampling", Remote
        Sensing of Environment 60 (1997): ratio estimators with the variance between clusters, here of the areas of
        Olofsson et al. (2014), linearised over all mapped classes at once, as a parcel may meet several.
    Differs: quantiles are Student's with one degree of freedom less than there are parcels; no finite population
        correction.
    """
    if not truth.shape == mapped.shape == parcels.shape:
        raise LabelError(f"reference pixels of shapes {truth.shape}, {mapped.shape} and {parcels.shape} do not match.")
    k = np.size(mapped_pixels)
    table = confusion(truth, mapped, k)
    plain = adjusted_areas(table, mapped_pixels, pixel_area=pixel_area)
    on = (truth != UNLABELLED) & (mapped != UNLABELLED)
    true, said = truth[on].astype(np.intp), mapped[on].astype(np.intp)
    number = np.unique(parcels[on], return_inverse=True)[1].ravel()
    m = int(number.max()) + 1
    of_class, on_class = _met(number, true, k), _met(number, said, k)
    squared, own, recalled, overall = _squares(true, said, number, table[:, :k].T.astype(float), plain)
    factor = m / max(m - 1, 1)
    lone = np.where(on_class == 1, plain.mapped**2 * WORST, 0.0)
    squared, overall = factor * squared + lone.sum(), factor * overall + lone.sum()
    recall = plain.producers / 100
    recalled = factor * recalled + (1 - recall) ** 2 * lone + recall**2 * (lone.sum() - lone)
    thin, some = of_class < FEWEST, on_class >= FEWEST
    error = np.where(thin, np.nan, np.sqrt(squared))
    quantile = float(stdtrit(m - 1, 0.975)) if m > 1 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        users = np.where(some, np.sqrt(own * on_class / (on_class - 1)) / plain.mapped, np.nan)
        producers = np.where(thin, np.nan, np.sqrt(recalled) / plain.estimated)
        effects = np.where(plain.error > 0, (error / plain.error) ** 2, np.nan)
    error = np.where(np.isnan(plain.error), np.nan, error)
    return replace(
        plain,
        error=error,
        low=np.clip(plain.estimated - quantile * error, 0, None),
        high=np.clip(plain.estimated + quantile * error, None, plain.assessed),
        users_error=100 * users,
        producers_error=100 * np.where(np.isnan(plain.producers), np.nan, producers),
        overall_error=100 * float(np.sqrt(overall)) / plain.assessed if m >= FEWEST else float("nan"),
        lone=tuple(np.flatnonzero(on_class == 1).tolist()),
        parcels=tuple(of_class.tolist()),
        thin=tuple(np.flatnonzero(thin & (table.sum(1) > 0)).tolist()),
        drawn=m,
        effects=effects,
    )


def _met(number: NDArray[np.intp], classes: NDArray[np.intp], k: int) -> NDArray[np.int64]:
    """(K) parcels with a pixel of each class."""
    return np.bincount(np.unique(number * k + classes) % k, minlength=k)


def _squares(
    true: NDArray[np.intp], said: NDArray[np.intp], number: NDArray[np.intp], n: Numbers, plain: Areas
) -> tuple[Numbers, Numbers, Numbers, float]:
    """Sums over parcels of squared residuals: of (K) areas, of what is mapped right, of recall times area; and of all.

    A parcel's residual of the area of class j is what it adds to the area beyond what its pixels add on average:
    sum over mapped classes h of (area of h / reference pixels there) (its pixels of j - share of j its pixels).
    """
    k, m = len(n), int(number.max()) + 1
    drawn = np.maximum(n.sum(1), 1)
    shares, weight = n / drawn[:, None], plain.mapped / drawn
    recall = np.nan_to_num(plain.producers / 100)
    hit = true == said

    def summed(columns: NDArray[np.intp], which: NDArray[np.bool_] | slice = slice(None)) -> Any:
        return coo_array((weight[said[which]], (number[which], columns[which])), (m, k)).tocsr()

    looked, found, right = summed(said), summed(true), summed(said, hit)
    squared, own, recalled, overall = np.zeros(k), np.zeros(k), np.zeros(k), 0.0
    step = max(1, AT_ONCE // k)
    for part in (slice(i, i + step) for i in range(0, m, step)):
        seen = looked[part].toarray()
        area = found[part].toarray() - seen @ shares
        correct = right[part].toarray() - seen * np.diagonal(shares)
        squared += (area**2).sum(0)
        own += (correct**2).sum(0)
        recalled += ((correct - recall * area) ** 2).sum(0)
        overall += float((correct.sum(1) ** 2).sum())
    return squared, own, recalled, overall
