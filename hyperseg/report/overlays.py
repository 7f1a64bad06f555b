"""Slices of an image or a volume beside the same slices with classes over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.io.write import replacing
from hyperseg.report.segment.slices import LUMA, colours_of, heat

Picture = NDArray[np.uint8]
SIDE_PX, GAP_PX = 300, 4  # longest side of a panel
STRENGTH = 0.45  # of a class's colour over the image
LINE_PX = 2  # of the light line along a border, and of the dark one beside it
RANGE = (1, 99)  # percentiles that are black and white


def write_overlay(
    path: Path, scene: Scene, labels: NDArray[np.int16], doubt: NDArray[np.float32] | None = None
) -> None:
    """Write `overlay` as PNG, whole or not at all."""
    from matplotlib.image import imsave

    with replacing(path) as temporary:
        imsave(temporary, overlay(scene, labels, doubt), format="png")


def overlay(scene: Scene, labels: NDArray[np.int16], doubt: NDArray[np.float32] | None = None) -> Picture:
    """(H, W, 3) sRGB: above the slices as they are, below them with classes; class 0 is left clear; below that doubt.

    Classes are surfaces that one sees through, over the picture in grey. Along every border runs a line in the full
    colour of the higher class, and a black one on the other side: one of them is seen on any ground.

    Of a volume there is a slice across each axis, through the middle of what is foreground (of the volume where nothing
    is). Voxels are as long as they are in the body, whose head and front are up.

    Args:
        scene: (*S, C); its first channel is drawn, three of them as colours where it is a picture.
        labels: (*S) classes of the scene, -1 for none.
        doubt: (*S) 0 (black) to 1 (pale yellow); nothing of it is drawn where it is left out.
    """
    colours = np.array([(0, 0, 0), *colours_of(scene.classes[1:])], np.float64)
    cube, spacing, upright = np.asarray(scene.cube[:]), scene.grid.spacing, scene.grid.unit == "mm"
    columns = []
    for axis in _axes(labels):
        place = _place(labels, axis, upright=upright)
        values = _shown(cube[place], colours=axis is None and cube.shape[-1] == 3)
        unsure = None if doubt is None else doubt[place]
        columns.append(_painted(values, labels[place], unsure, spacing, axis, colours))
    height = max(panels[0].shape[0] for panels in columns)
    width = sum(panels[0].shape[1] + GAP_PX for panels in columns) - GAP_PX
    page = np.full((len(columns[0]) * (height + GAP_PX) - GAP_PX, width, 3), 255, np.uint8)
    x = 0
    for panels in columns:
        for n, panel in enumerate(panels):
            y = n * (height + GAP_PX)
            page[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
        x += panels[0].shape[1] + GAP_PX
    return page


def _axes(labels: NDArray[np.int16]) -> tuple[int | None, ...]:
    return (0, 1, 2) if labels.ndim == 3 else (None,)


def _place(labels: NDArray[np.int16], axis: int | None, *, upright: bool) -> tuple[Any, ...]:
    """Where the slice across an axis lies, turned over where rows run from back to front; all of a picture."""
    if axis is None:
        return (slice(None),)
    there = np.flatnonzero((labels > 0).any(tuple(a for a in range(3) if a != axis)))
    here: list[Any] = [slice(None)] * 3
    here[axis] = int(there[len(there) // 2]) if len(there) else labels.shape[axis] // 2
    if upright:
        here[1 if axis == 0 else 0] = slice(None, None, -1)
    return tuple(here)


def _shown(values: NDArray[Any], *, colours: bool) -> NDArray[np.float64]:
    """(h, w, C) -> (h, w, 1 or 3) from 0 to 1."""
    seen = values[..., : 3 if colours else 1].astype(np.float64)
    low, high = np.percentile(seen, RANGE)
    return ((seen - low) / max(high - low, 1e-12)).clip(0, 1)


def _borders(found: NDArray[np.int16]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(h, w) each: where a lower class is near, and where a higher one is and no lower."""
    from scipy.ndimage import maximum_filter, minimum_filter

    size = 2 * LINE_PX + 1
    light = minimum_filter(found, size, mode="nearest") < found
    return light, (maximum_filter(found, size, mode="nearest") > found) & ~light


def _painted(
    values: NDArray[np.float64], labels: NDArray[np.int16], doubt: NDArray[np.float32] | None,
    spacing: tuple[float, ...], axis: int | None, colours: NDArray[np.float64],
) -> list[Picture]:  # fmt: skip
    """The slice as it is, with its classes, and its doubt where that is known; voxels in proportion."""
    voxel = [mm for a, mm in enumerate(spacing) if a != axis]
    lengths = [n * mm for n, mm in zip(labels.shape, voxel, strict=True)]
    sides = [max(1, round(SIDE_PX * length / max(lengths))) for length in lengths]
    rows, columns = (((np.arange(s) + 0.5) * n / s).astype(int) for s, n in zip(sides, labels.shape, strict=True))
    plain = np.broadcast_to(255 * values[rows][:, columns], (*sides, 3))
    found = np.maximum(labels[rows][:, columns], 0)
    light, dark = _borders(found)
    part = np.where(found > 0, np.where(light, 1, STRENGTH), 0)[..., None]
    painted = (1 - part) * np.sum(plain * LUMA, -1, keepdims=True) + part * colours[found]
    painted[dark] = 0
    panels = [np.rint(panel).astype(np.uint8) for panel in (plain, painted)]
    return panels if doubt is None else [*panels, heat(np.rint(255 * doubt[rows][:, columns]).astype(np.uint8))]
