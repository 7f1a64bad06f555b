"""How much pixels tell that come in parcels: design effect and effective sample size of the overall accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError

FEWEST = 3  # parcels for a spread among them: our choice; two give one that means nothing


@dataclass(frozen=True)
class Design:
    """What a sample of pixels in whole parcels says about the overall accuracy; NaN marks what is not known.

    Attributes:
        n: pixels.
        parcels: the parcels they lie in.
        accuracy: share of pixels that are right, in percent.
        error: its standard error with parcels as units, in percent; NaN for fewer than three.
        effect: design effect: that variance over the one of n pixels drawn one by one. NaN where either is 0, as
            nothing then tells how alike the pixels of a parcel are.
        effective: effective sample size: n / effect, the independent pixels that would tell as much.
    """

    n: int
    parcels: int
    accuracy: float
    error: float
    effect: float
    effective: float


def design_of(right: NDArray[np.bool_], parcels: NDArray[np.integer[Any]]) -> Design:
    """Design effect of the overall accuracy of these pixels.

    The accuracy p is a ratio of sums over m parcels, with variance m / (m - 1) sum (right pixels - p pixels)^2 / n^2;
    pixels drawn one by one give p (1 - p) / (n - 1). Parcels of b pixels that are right or wrong as a whole have the
    effect (n - 1) / (m - 1), about b; parcels of one pixel have 1.

    Args:
        right: (n) whether a reference pixel is mapped right.
        parcels: (n) number of its parcel.

    Raises:
        LabelError: other shapes, or no pixel.

    Source: Kish, "Survey Sampling" (1965), for effect and size; the variance of the ratio as in Stehman (1997), see
        `area_parcels`.
    """
    if right.shape != parcels.shape or right.ndim != 1 or right.size == 0:
        raise LabelError(f"pixels of shapes {right.shape} and {parcels.shape} have no design: give (n) of each.")
    number = np.unique(parcels, return_inverse=True)[1].ravel()
    sizes = np.bincount(number).astype(np.float64)
    hits = np.bincount(number, weights=right)
    n, m, p = right.size, sizes.size, float(right.mean())
    variance, alone, effect = np.nan, p * (1 - p) / max(n - 1, 1), np.nan
    if m >= FEWEST:
        variance = m / (m - 1) * float(((hits - p * sizes) ** 2).sum()) / n**2
    if variance > 1e-12 * alone > 0:  # rounding is no spread
        effect = variance / alone
    return Design(n, m, 100 * p, 100 * float(np.sqrt(variance)), effect, n / effect)
