"""Slices of an image or a volume beside the same slices with classes over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.io.write import replacing
from hyperseg.report.segment.slices import colours_of

Picture = NDArray[np.uint8]
SIDE_PX, GAP_PX = 300, 4  # longest side of a panel
STRENGTH = 0.45  # of a class's colour over the image
RANGE = (1, 99)  # percentiles that are black and white


def write_overlay(path: Path, scene: Scene, labels: NDArray[np.int16]) -> None:
    """Write `overlay` as PNG, whole or not at all."""
    from matplotlib.image import imsave

    with replacing(path) as temporary:
        imsave(temporary, overlay(scene, labels), format="png")


def overlay(scene: Scene, labels: NDArray[np.int16]) -> Picture:
    """(H, W, 3) sRGB: above the slices as they are, below them with classes; class 0 is left clear.

    Of a volume there is a slice across each axis, through the middle of what is foreground (of the volume where nothing
    is). Voxels are as long as they are in the body, whose head and front are up.

    Args:
        scene: (*S, C); its first channel is drawn, three of them as colours where it is a picture.
        labels: (*S) classes of the scene, -1 for none.
    """
    colours = np.array([(0, 0, 0), *colours_of(scene.classes[1:])], np.float64)
    cube, spacing, upright = np.asarray(scene.cube[:]), scene.grid.spacing, scene.grid.unit == "mm"
    rows = [_painted(*_slice(cube, labels, axis, upright=upright), spacing, axis, colours) for axis in _axes(labels)]
    height = max(panel.shape[0] for panel, _ in rows)
    width = sum(panel.shape[1] + GAP_PX for panel, _ in rows) - GAP_PX
    page = np.full((2 * height + GAP_PX, width, 3), 255, np.uint8)
    x = 0
    for panels in rows:
        for y, panel in zip((0, height + GAP_PX), panels, strict=True):
            page[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
        x += panels[0].shape[1] + GAP_PX
    return page


def _axes(labels: NDArray[np.int16]) -> tuple[int | None, ...]:
    return (0, 1, 2) if labels.ndim == 3 else (None,)


def _slice(
    cube: NDArray[Any], labels: NDArray[np.int16], axis: int | None, *, upright: bool
) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
    """(h, w, 1 or 3) values from 0 to 1, and (h, w) classes."""
    if axis is None:
        values, found = cube, labels
    else:
        there = np.flatnonzero((labels > 0).any(tuple(a for a in range(3) if a != axis)))
        at = int(there[len(there) // 2]) if len(there) else labels.shape[axis] // 2
        here = (*(slice(None),) * axis, at)
        values, found = cube[here], labels[here]
        if upright:
            values, found = values[::-1], found[::-1]
    values = values[..., : 3 if axis is None and cube.shape[-1] == 3 else 1].astype(np.float64)
    low, high = np.percentile(values, RANGE)
    return ((values - low) / max(high - low, 1e-12)).clip(0, 1), found


def _painted(
    values: NDArray[np.float64], labels: NDArray[np.int16], spacing: tuple[float, ...], axis: int | None,
    colours: NDArray[np.float64],
) -> tuple[Picture, Picture]:  # fmt: skip
    """The slice as it is, and with its classes; voxels in proportion."""
    voxel = [mm for a, mm in enumerate(spacing) if a != axis]
    lengths = [n * mm for n, mm in zip(labels.shape, voxel, strict=True)]
    sides = [max(1, round(SIDE_PX * length / max(lengths))) for length in lengths]
    rows, columns = (((np.arange(s) + 0.5) * n / s).astype(int) for s, n in zip(sides, labels.shape, strict=True))
    plain = np.broadcast_to(255 * values[rows][:, columns], (*sides, 3))
    found = labels[rows][:, columns]
    part = np.where(found > 0, STRENGTH, 0)[..., None]
    painted = (1 - part) * plain + part * colours[np.maximum(found, 0)]
    return np.rint(plain).astype(np.uint8), np.rint(painted).astype(np.uint8)
