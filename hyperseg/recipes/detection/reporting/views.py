"""Boxes over a volume as its file lies, slices across its longest voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.write import replacing
from hyperseg.metrics.froc import Marks
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.report.boxes import draw_boxes

ALIKE = 0.9  # of the longest voxels: axes of as long ones are asked by their order


def view(volume: Volume, marks: Marks, truth: NDArray[np.floating] | None = None, *, least: float = 0.0) -> bytes:
    """A PNG: the best boxes of a case in their slices, with the objects where they are known.

    Args:
        marks, truth: in voxels of the file.
        least: score of what is drawn.
    """
    n = len(volume.own_size)
    order = axes_drawn(volume)
    columns = [*order, *(n + axis for axis in order)]
    kept = marks.scores >= least
    array = np.moveaxis(volume.array, -1, 0).transpose(0, *(1 + axis for axis in order))
    return draw_boxes(
        array, marks.boxes[kept][:, columns], marks.scores[kept], None if truth is None else truth[:, columns],
        spacing=[volume.spacing[axis] for axis in order], title=volume.name, upright=volume.affine is not None,
    )  # fmt: skip


def write_view(path: Path, volume: Volume, marks: Marks) -> None:
    """Write `view` of what was found, whole or not at all."""
    content = view(volume, marks)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def axes_drawn(volume: Volume) -> tuple[int, ...]:
    """Axes in the order of drawing: slices are across the first.

    Those of a body (NIfTI) are reversed, so that its front is up. The axis of the longest voxels comes first.
    """
    order = list(range(len(volume.own_size)))
    if volume.affine is not None:
        order.reverse()
    if len(order) > 2:
        longest = max(volume.spacing)
        across = next(axis for axis in order if volume.spacing[axis] >= ALIKE * longest)
        order.remove(across)
        order.insert(0, across)
    return tuple(order)
