"""Boxes of a table in the voxels of their volumes, and the way back: millimetres and the world of a box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.detections.columns import Form, Row

Floats = NDArray[np.float64]
ROUNDED_VX = 1e-3  # what digits of a file leave out
ITK_WORLD = np.array([-1.0, -1.0, 1.0])  # left, posterior, superior as right, anterior, superior
ORDER = "Columns are in the order of the array's axes: lo_0 is the first axis of the file (x of a NIfTI file)"


class NoPlaceError(ValueError):
    """A box that does not lie in its volume; the message says why, without file and line."""


def box_in(
    row: Row, form: Form, shape: Sequence[int], spacing: Sequence[float], affine: Floats | None
) -> Floats:  # fmt: skip
    """The box (2n,) of a row in voxels.

    A box in voxels has to lie in the volume. Of one in millimetres the centre has to; what stands out is cut.

    Args:
        row: with numbers.
        form: of its table.
        shape: (n,) of the volume.
        spacing: (n,) millimetres, or () where nothing says.
        affine: (4, 4) from voxels to the world of NIfTI, or None.

    Raises:
        NoPlaceError: outside of the volume, another number of axes, or millimetres of a volume without a spacing.
    """
    n, first, second = len(shape), row.first, row.second
    assert first is not None
    assert second is not None
    if len(first) != n:
        raise NoPlaceError(f"a box of {len(first)} axes in an image {_size(shape)}; write a column for each axis.")
    if form == "voxels":
        box = np.concatenate([first, second])
        if _outside(box, shape):
            raise NoPlaceError(_told(box, shape))
        return np.concatenate([np.maximum(first, 0), np.minimum(second, shape)])
    if form in ("itk", "world") and (affine is None or n != len(ITK_WORLD)):
        raise NoPlaceError("is stated in world coordinates, and the file has no place in a world (no NIfTI affine).")
    if len(spacing) != n:
        raise NoPlaceError("is stated in millimetres, and nothing says how large voxels are: give --spacing.")
    space = np.array(spacing, np.float64)
    if affine is None or form == "mm":
        centre = first / space
    else:
        centre = _in_voxels(first * (ITK_WORLD if form == "itk" else 1.0), affine)
    if ((centre < 0) | (centre > shape)).any():
        hint = ""
        if form in ("itk", "world") and affine is not None:
            other = _in_voxels(first * (1.0 if form == "itk" else ITK_WORLD), affine)
            if ((other >= 0) & (other <= shape)).all():
                names = ("x_mm, y_mm, z_mm", "coordX, coordY, coordZ")
                meant, read = names if form == "itk" else names[::-1]
                hint = f" With x and y of the other sign it would lie inside: call the columns {meant}, not {read}."
        raise NoPlaceError(f"the centre {_numbers(centre)} (voxels) lies outside of the volume {_size(shape)}.{hint}")
    half = second / space / 2
    return np.concatenate([np.maximum(centre - half, 0), np.minimum(centre + half, shape)])


def centres_mm(boxes: Floats, spacing: Sequence[float]) -> Floats:
    """(N, n) centres in millimetres along the axes of the array, from the corner of the first voxel."""
    n = boxes.shape[1] // 2
    return np.asarray((boxes[:, :n] + boxes[:, n:]) / 2 * np.array(spacing))


def sizes_mm(boxes: Floats, spacing: Sequence[float]) -> Floats:
    """(N, n) sizes in millimetres along the axes of the array."""
    n = boxes.shape[1] // 2
    return np.asarray((boxes[:, n:] - boxes[:, :n]) * np.array(spacing))


def world_mm(boxes: Floats, affine: Floats) -> Floats:
    """(N, 3) centres in the world of the file: the affine maps the middle of a voxel, whose box is half below it."""
    n = boxes.shape[1] // 2
    middle = (boxes[:, :n] + boxes[:, n:]) / 2 - 0.5
    return np.asarray(middle @ affine[:3, :3].T + affine[:3, 3])


def _in_voxels(world: Floats, affine: Floats) -> Floats:
    return np.asarray(np.linalg.solve(affine[:3, :3], world - affine[:3, 3]) + 0.5)


def _outside(box: Floats, shape: Sequence[int]) -> bool:
    n = len(shape)
    beyond = (box[:n] < -ROUNDED_VX) | (box[n:] > np.array(shape) + ROUNDED_VX)
    return bool((beyond | (box[:n] >= shape) | (box[n:] <= 0)).any())


def _told(box: Floats, shape: Sequence[int]) -> str:
    """Why a box is not in its volume; where its axes are swapped, that."""
    n = len(shape)
    told = f"the box {_numbers(box[:n])} to {_numbers(box[n:])} reaches out of the volume {_size(shape)}."
    turned = np.concatenate([box[:n][::-1], box[n:][::-1]])
    if not _outside(turned, shape):
        return f"{told} With its axes reversed it would lie inside: are they swapped? {ORDER}."
    return told


def _numbers(values: Floats) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"


def _size(shape: Sequence[int]) -> str:
    return f"of {' x '.join(map(str, shape))} voxels"
