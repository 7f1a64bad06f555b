"""Places that a user names: a mask, polygons, or a table of positions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hyperseg.core import DataFileError, LabelError, Scene
from hyperseg.core.words import counted, one_line, some
from hyperseg.io.open import read_mask
from hyperseg.io.small_tables import as_number, read_cells

Mask = NDArray[np.bool_]
EXPECTED = "A table of positions has the columns row and column (from 0), or x and y in map coordinates"
PLACES = (("row", "column"), ("row", "col"), ("x", "y"))


def read_places(text: str, scene: Scene) -> Mask:
    """(H, W) bool: pixels that a file names.

    Args:
        text: a raster (0 = not among them), polygons or points, or a .csv with the columns row and column (from 0),
            or x and y in the scene's map coordinates.

    Raises:
        DataFileError: the file is missing or is no such table.
        LabelError: another shape, places outside of the scene, or none at all.
    """
    path = Path(text)
    if path.suffix.lower() == ".csv" and path.is_file():
        found = _of_table(path, scene)
    else:
        mask = read_mask(text, scene)
        assert mask is not None
        found = np.asarray(mask != 0)
    if not found.any():
        raise LabelError(f"{text}: names no pixel of {scene.name}.")
    return found


def objects_of(mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(n, 4) boxes of connected pixels (8 neighbours) and their (n,) numbers of pixels."""
    numbers, n = ndimage.label(mask, np.ones((3, 3)))
    boxes = [[r.start, c.start, r.stop, c.stop] for r, c in ndimage.find_objects(numbers)]
    sizes = np.bincount(numbers.ravel(), minlength=n + 1)[1:]
    return np.array(boxes, np.float64).reshape(n, 4), sizes.astype(np.int64)


def _of_table(path: Path, scene: Scene) -> Mask:
    table = read_cells(path, EXPECTED)
    heads = {name.casefold(): k for k, name in enumerate(table.head)}
    chosen = next((pair for pair in PLACES if set(pair) <= set(heads)), None)
    if chosen is None:
        raise DataFileError(f"{path}: has the columns {some(heads, 8)}. {EXPECTED}.")
    places = np.array([[_number(path, line, cells[heads[name]]) for name in chosen] for line, cells in table.rows])
    places = places.reshape(-1, 2)
    if chosen == ("x", "y"):
        places = _to_pixels(places, path, scene)
    at = np.floor(places)  # whole numbers once they are known to be rows and columns
    outside = ~_inside(at, scene).all(1)
    if outside.any():
        first = places[outside][0]
        swapped = " They would fit with rows and columns swapped." if _inside(at[:, ::-1], scene).all() else ""
        raise LabelError(
            f"{path}: {counted(int(outside.sum()), 'position')} outside of {scene.name} ({scene.shape[0]} rows, "
            f"{scene.shape[1]} columns), the first at row {first[0]:g}, column {first[1]:g}.{swapped}"
        )
    out = np.zeros(scene.shape, bool)
    out[tuple(at.astype(np.int64).T)] = True
    return out


def _number(path: Path, line: int, cell: str) -> float:
    """A finite number.

    Raises:
        DataFileError: it is none.
    """
    try:
        value = as_number(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataFileError(f"{path}: line {line}: a position is {one_line(cell, 30)!r}; a finite number was expected.")
    return value


def _inside(at: NDArray[np.float64], scene: Scene) -> Mask:
    return np.asarray((at >= 0) & (at < scene.shape))


def _to_pixels(places: NDArray[np.float64], path: Path, scene: Scene) -> NDArray[np.float64]:
    if scene.grid.affine is None:
        raise LabelError(f"{path}: has map coordinates, and {scene.name} has none. Give the columns row and column.")
    a, b, c, d, e, f = scene.grid.affine
    inverse = np.linalg.inv(np.array([[a, b], [d, e]]))
    with np.errstate(over="ignore", invalid="ignore"):  # 1e300 lies outside, whatever becomes of it
        column_row = (places - (c, f)) @ inverse.T
    return column_row[:, ::-1]
