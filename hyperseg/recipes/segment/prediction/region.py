"""Where in a case there is something: boxes around what a cheap first look has found."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hyperseg.medical.export.restore import Back, Side
from hyperseg.medical.fingerprint import Size
from hyperseg.recipes.segment.sliding import n_windows

Box = tuple[Side, ...]
MARGIN = 1 / 4  # of a patch, on each side of what was found
FINENESS = 8  # blocks along a patch: what is no farther apart than a block is one piece
MOST_PIECES = 50  # of more, one box goes around all


def boxes_around(found: NDArray[np.bool_], patch: Size) -> list[Box]:
    """Boxes, (start, stop) per axis, that hold all that is True with a margin; none where nothing is.

    Each piece gets a box of a patch at least; two become one where they overlap or where one box around both takes no
    more windows than two.

    Args:
        found: (*S) on a network's grid.
        patch: sides of its windows; one axis fewer than S for a network of planes.
    """
    whole = (1,) * (found.ndim - len(patch)) + patch
    block = tuple(max(1, side // FINENESS) for side in whole)
    margin = tuple(round(side * MARGIN) for side in whole[-len(patch) :])
    margin = (max(margin),) * (found.ndim - len(patch)) + margin
    boxes = [
        _widened(tuple((s.start * b - m, s.stop * b + m) for s, b, m in zip(piece, block, margin, strict=True)), whole,
                 found.shape)
        for piece in _pieces(_blocks(found, block))
    ]  # fmt: skip
    return _merged(boxes, patch)


def windows_in(boxes: list[Box], patch: Size) -> int:
    """Windows of all boxes."""
    return sum(n_windows(tuple(stop - start for start, stop in box), patch) for box in boxes)


def on_case(box: Box, back: Back) -> Box:
    """A box on the network's grid, as voxels of the case's that it touches, in the plan's order."""
    return tuple(
        (start * n // old, -(-stop * n // old)) for (start, stop), n, old in zip(box, back.size, back.read, strict=True)
    )


def grown(labels: NDArray[np.int16], part: Box, by: Size) -> Box:
    """The part of a case, farther out on every side on which its outermost slice holds a class.

    Args:
        labels: (*S) classes of the whole box of a case, in the plan's order.
        part: (start, stop) per axis.
        by: voxels per axis.
    """
    inside = labels[tuple(slice(*side) for side in part)]
    found = []
    for axis, (start, stop) in enumerate(part):
        first, last = (bool((inside.take(at, axis) > 0).any()) for at in (0, -1))
        found.append((max(start - by[axis] * first, 0), min(stop + by[axis] * last, labels.shape[axis])))
    return tuple(found)


def _blocks(found: NDArray[np.bool_], block: Size) -> NDArray[np.bool_]:
    """Whether there is something in each block; the last ones may be smaller."""
    for axis, side in enumerate(block):
        found = np.logical_or.reduceat(found, np.arange(0, found.shape[axis], side), axis)
    return found


def _pieces(blocks: NDArray[np.bool_]) -> list[tuple[slice, ...]]:
    from scipy.ndimage import find_objects, label

    pieces, n = label(blocks, np.ones((3,) * blocks.ndim))
    return list(find_objects(pieces if n <= MOST_PIECES else blocks.astype(np.int8)))


def _widened(box: Box, least: Size, size: Size) -> Box:
    """The box within an image of this size, and of a patch at least where the image is."""
    found = []
    for (start, stop), side, n in zip(box, least, size, strict=True):
        short = max(side - (stop - start), 0)
        start = min(max(start - short // 2, 0), max(n - side, 0))
        found.append((start, min(max(stop, start + side), n)))
    return tuple(found)


def _merged(boxes: list[Box], patch: Size) -> list[Box]:
    while True:
        for one, other in combinations(boxes, 2):
            both = tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
            apart = any(a[1] <= b[0] or b[1] <= a[0] for a, b in zip(one, other, strict=True))
            if not apart or windows_in([both], patch) <= windows_in([one, other], patch):
                boxes = [box for box in boxes if box not in (one, other)] + [both]
                break
        else:
            return boxes
