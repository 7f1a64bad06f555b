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
    boxes = _boxes(labels) if parts else []
    for part in sorted(parts, key=len):
        here = _around([boxes[k - 1] for k in part if k <= len(boxes)])
        if here is None:
            continue
        inside = np.isin(found[here], part)
        small = inside & ~largest_component(inside)
        if small.any():
            found = labels.copy() if found is labels else found
            found[here][small] = BACKGROUND
    return found


def without_small(labels: NDArray[np.int16], smallest: int) -> NDArray[np.int16]:
    """The labels with pieces of a class below a limit turned to background; pieces touch by faces.

    Nothing is ever added to a class, a limit of 1 changes nothing, and doing it once more changes nothing.

    Args:
        labels: (*S) classes, -1 for none.
        smallest: pixels or voxels that a piece of a foreground class has to have.
    """
    from scipy.ndimage import label

    found = labels
    for k, box in enumerate(_boxes(labels), 1):
        if box is None:
            continue
        pieces, n = label(labels[box] == k)
        small = np.bincount(pieces.ravel(), minlength=n + 1) < smallest
        small[0] = False
        if small.any():
            found = labels.copy() if found is labels else found
            found[box][small[pieces]] = BACKGROUND
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
    counts = np.zeros(n + 1, np.int64)
    for one in pieces:  # slice by slice: `bincount` makes eight bytes of each voxel
        counts += np.bincount(one.ravel(), minlength=n + 1)
    counts[0] = 0
    found: NDArray[np.bool_] = pieces == counts.argmax()
    return found


Box = tuple[slice, ...]


def _boxes(labels: NDArray[np.int16]) -> list[Box | None]:
    """Where each class from 1 on is."""
    from scipy.ndimage import find_objects

    return list(find_objects(labels))


def _around(boxes: Sequence[Box | None]) -> Box | None:
    """One box around all."""
    there = [box for box in boxes if box is not None]
    if not there:
        return None
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*there, strict=True))
