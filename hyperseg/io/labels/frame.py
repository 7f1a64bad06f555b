"""Where a scene's pixels are on the map, and how places get from one CRS to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid, LabelError
from hyperseg.core.words import one_line

Coordinates = NDArray[np.float64]
Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True)
class Frame:
    """A grid with a size."""

    name: str  # the file, for messages
    shape: tuple[int, int]  # rows, columns
    affine: tuple[float, ...]  # the six numbers (a, b, c, d, e, f) of the pixel-to-map transform
    crs: str | None  # as in `Grid`

    @classmethod
    def of(cls, shape: tuple[int, ...], grid: Grid | None, name: str) -> Frame | None:
        """The frame of a grid; None where it does not say where its pixels are."""
        if len(shape) != 2 or grid is None or grid.affine is None:
            return None
        return cls(name, (shape[0], shape[1]), tuple(grid.affine[:6]), grid.crs)

    def to_map(self, places: Coordinates) -> Coordinates:
        """(n, 2) map coordinates of (column, row) places; (0, 0) is the outer corner of the first pixel."""
        matrix = np.reshape(self.affine, (2, 3))
        return places @ matrix[:, :2].T + matrix[:, 2]

    def to_pixels(self, xy: Coordinates) -> Coordinates:
        """(n, 2) places (column, row) of map coordinates."""
        matrix = np.reshape(self.affine, (2, 3))
        return np.linalg.solve(matrix[:, :2], (xy - matrix[:, 2]).T).T

    def transform(self, window: tuple[slice, slice] | None = None) -> Any:
        """The `rasterio.Affine` of the frame, or of a window of it."""
        from rasterio import Affine

        a, b, _, d, e, _ = self.affine
        start = (0, 0) if window is None else (window[1].start, window[0].start)
        x, y = self.to_map(np.array([start], np.float64))[0]
        return Affine(a, b, float(x), d, e, float(y))

    def corners(self) -> Coordinates:
        """(4, 2) map coordinates of the corners, in order around the grid."""
        rows, columns = self.shape
        return self.to_map(np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float64))

    def bounds(self) -> Bounds:
        """Extent on the map."""
        low, high = self.corners().min(0), self.corners().max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def bounds_in(self, crs: str | None) -> Bounds | None:
        """Extent in another CRS, or None where that cannot be told (a pole or the date line in it)."""
        if same_crs(self.crs, crs):
            return self.bounds()
        from rasterio import Env
        from rasterio.warp import transform_bounds

        try:
            with Env():  # else GDAL writes to the terminal what it has against it
                found = transform_bounds(self.crs, crs, *self.bounds(), densify_pts=21)
        except Exception:  # whatever PROJ has against it
            return None
        west, south, east, north = (float(v) for v in found)
        return (west, south, east, north) if np.isfinite(found).all() and west < east and south < north else None

    def window(self, bounds: Bounds, *, margin: int) -> tuple[slice, slice] | None:
        """Rows and columns that cover `bounds` (in this CRS) and `margin` pixels more; None if none does."""
        west, south, east, north = bounds
        box = self.to_pixels(np.array([(west, south), (west, north), (east, south), (east, north)]))
        size = np.array(self.shape[::-1])
        low = np.clip(np.floor(box.min(0)) - margin, 0, size).astype(int)
        high = np.clip(np.ceil(box.max(0)) + margin, 0, size).astype(int)
        if (high <= low).any():
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

    def describe(self) -> str:
        """Size, pixel and place, for messages."""
        pixel = float(np.hypot(self.affine[0], self.affine[3]))
        size, corner = f"{self.shape[0]}x{self.shape[1]}", f"{self.affine[2]:.8g}, {self.affine[5]:.8g}"
        return f"{size} pixels of {pixel:.6g}, corner {corner} in {short(self.crs)}"


def same_crs(a: str | None, b: str | None) -> bool:
    """Whether two spellings are one CRS."""
    if a == b or None in (a, b):
        return a == b
    from rasterio.crs import CRS

    try:
        return bool(CRS.from_user_input(a) == CRS.from_user_input(b))
    except Exception:  # one of them is not understood: `mover` says so
        return False


def mover(source: str | None, target: str | None, path: Path) -> Callable[[Coordinates], Coordinates]:
    """A function of (n, 2) coordinates from one CRS to another; what lies beyond a projection becomes infinite.

    Raises:
        LabelError: a CRS that is not understood; and the function, where there is no way between the two.
    """
    from rasterio.crs import CRS
    from rasterio.warp import transform

    try:
        ours, theirs = CRS.from_user_input(source), CRS.from_user_input(target)
    except Exception as error:
        raise LabelError(f"{path}: its CRS is not understood ({one_line(str(error), 200)}).") from error

    def move(xy: Coordinates) -> Coordinates:
        if len(xy) == 0:
            return xy
        try:
            return np.stack(transform(ours, theirs, xy[:, 0], xy[:, 1])[:2], 1)
        except Exception as error:
            raise LabelError(
                f"{path}: cannot be brought from {short(source)} to {short(target)} ({one_line(str(error), 200)}). "
                "Reproject it to the scene's CRS."
            ) from error

    return move


def short(crs: str | None) -> str:
    """A CRS in a few words: EPSG:n, or the name its WKT begins with."""
    if crs is None:
        return "no CRS"
    return crs.split('"')[1] if "[" in crs and crs.count('"') > 1 else crs[:60]


def extent(bounds: Any) -> str:
    """Bounds for messages."""
    west, south, east, north = bounds
    return f"x {west:.9g} to {east:.9g}, y {south:.9g} to {north:.9g}"
