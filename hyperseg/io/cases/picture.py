"""`Picture`: one decoded file, as it lies in it; and how its axes become (depth, rows, columns)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

AXES = 3  # of a body
SAME_PLACE = 1e-3  # of a voxel: what rounding in headers does
HALF = 0.5  # of a voxel: from here on another voxel is meant


@dataclass(frozen=True)
class Place:
    """Where the voxels of a file are.

    Attributes:
        spacing: millimetres per axis of the file.
        affine: (4, 4) from indices of the file to millimetres; None for arrays and pictures with a spacing, whose axes
            are (depth, rows, columns) as they are.
        stated: False where the file gives a spacing, but no place (both codes of a NIfTI header are 0).
    """

    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None = None
    stated: bool = False

    @property
    def orientation(self) -> str:
        """To which side of the body each axis of the file runs: "RAS", "LPS"; empty where nothing says."""
        if self.affine is None or not self.stated:
            return ""
        return "".join(("RAS", "LPI")[flip][axis] for axis, flip in zip(*_closest(self.affine), strict=True))


@dataclass(frozen=True)
class Picture:
    """One file.

    Attributes:
        array: (*S, C), in the order of the file's own axes, in its own type of numbers where that can be.
        place: where that is in a body, or None for pictures and arrays.
        remarks: what was done to the values, for who wants to know.
    """

    array: NDArray[Any]
    place: Place | None = None
    remarks: tuple[str, ...] = field(default=())

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[:-1])

    @property
    def channels(self) -> int:
        return int(self.array.shape[-1])


def turned(array: NDArray[Any], place: Place | None) -> NDArray[Any]:
    """An array (*S, ...) of a file as (depth, rows, columns, ...), a view.

    A body's axes are brought to right, anterior, superior by swaps and flips, never by interpolation, and reversed:
    depth runs up, rows to the front, columns to the right. Volumes of mixed orientations are alike then. Pictures and
    arrays stay as they are.
    """
    if place is None:
        return array
    n = len(place.spacing)
    order, flips = _turn(place)
    array = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
    return array.transpose(*order, *range(n, array.ndim))


def turned_back(array: NDArray[Any], place: Place | None) -> NDArray[Any]:
    """The inverse of `turned`: (depth, rows, columns, ...) in the order of the file's own axes."""
    if place is None:
        return array
    n = len(place.spacing)
    order, flips = _turn(place)
    array = array.transpose(*np.argsort(order), *range(n, array.ndim))
    return array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]


def ordered(numbers: tuple[int, ...], place: Place | None) -> tuple[int, ...]:
    """Numbers per axis of the file in the order of the `turned` array."""
    return numbers if place is None else tuple(numbers[axis] for axis in _turn(place)[0])


def spacing_of(place: Place | None, axes: int) -> tuple[float, ...]:
    """Millimetres per axis of the `turned` array; 1 per pixel where nothing says."""
    return (1.0,) * axes if place is None else tuple(place.spacing[axis] for axis in _turn(place)[0])


def apart(a: Place, b: Place, shape: tuple[int, ...]) -> float:
    """How far the same voxel of two files is apart at most, in voxels of the first; 0 where one has no place."""
    if a.affine is None or b.affine is None or not (a.stated and b.stated):
        return 0.0
    corners = np.array(np.meshgrid(*((0, n - 1) for n in (*shape, 1, 1, 1)[:AXES]))).reshape(AXES, -1)
    moved = (a.affine - b.affine)[:AXES] @ np.vstack([corners, np.ones(corners.shape[1])])
    return float(np.linalg.norm(moved, axis=0).max() / min(a.spacing))


def _turn(place: Place) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Axes of the file in the order (depth, rows, columns), and which axes of the file are flipped."""
    n = len(place.spacing)
    if place.affine is None:
        return tuple(range(n)), (False,) * n
    if not place.stated or n != AXES:
        return tuple(range(n))[::-1], (False,) * n
    body, flips = _closest(place.affine)
    return tuple(int(body.index(axis)) for axis in (2, 1, 0)), flips


def _closest(affine: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """For each axis of the file the body's axis that it runs along most, each once; and whether against it."""
    from nibabel.orientations import io_orientation

    found = io_orientation(affine)
    return tuple(int(axis) for axis in found[:, 0]), tuple(bool(way < 0) for way in found[:, 1])
