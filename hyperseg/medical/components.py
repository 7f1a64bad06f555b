"""Post-processing: of what was predicted as one object, only the largest piece is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BACKGROUND = 0


def keep_largest(labels: NDArray[np.int16], parts: Sequence[Sequence[int]]) -> NDArray[np.int16]:
    """The labels with the smaller pieces of each part turned to background; pieces touch by faces.

    Args:
        labels: (*S) classes, -1 for none.
        parts: classes that are taken together as one object, e.g. ((1, 2), (2,)): the whole foreground first, then
            class 2 by itself. In this order, each on what the one before has left.
    """
    found = labels
    for part in parts:
        inside = np.isin(found, part)
        small = inside & ~largest_component(inside)
        if small.any():
            found = np.where(small, np.int16(BACKGROUND), found)
    return found


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece of a mask; of equal ones the first in memory. Nothing where the mask is empty."""
    from scipy.ndimage import label

    pieces, n = label(mask)
    if n <= 1:
        return mask
    counts = np.bincount(pieces.ravel())
    counts[0] = 0
    return pieces == counts.argmax()
