"""Post-processing: of what was predicted as one object, only the largest piece is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BACKGROUND = 0


def keep_largest(labels: NDArray[np.int16], parts: Sequence[Sequence[int]]) -> NDArray[np.int16]:
    """The labels with the smaller pieces of each part turned to background; pieces touch by faces.

    Parts of fewer classes come first: a class that is one piece then stays or goes as a whole when the foreground is
    looked at, so doing it all once more changes nothing. The other way round it could: what is cut from a class may
    leave the foreground in two.

    Args:
        labels: (*S) classes, -1 for none.
        parts: classes that are taken together as one object, e.g. ((1,), (1, 2)); of two either none is in both, or
            one holds the other.
    """
    found = labels
    for part in sorted(parts, key=len):
        inside = np.isin(found, part)
        small = inside & ~largest_component(inside)
        if small.any():
            found = np.where(small, np.int16(BACKGROUND), found)
    return found


def n_pieces(mask: NDArray[np.bool_]) -> int:
    """Pieces of a mask that touch by no face."""
    from scipy.ndimage import label

    return int(label(mask)[1])


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece of a mask; of equal ones the first in memory. Nothing where the mask is empty."""
    from scipy.ndimage import label

    pieces, n = label(mask)
    if n <= 1:
        return mask
    counts = np.bincount(pieces.ravel())
    counts[0] = 0
    return pieces == counts.argmax()
