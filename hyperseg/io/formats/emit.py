"""EMIT: NetCDF products of NASA's imaging spectrometer on the space station, put on the map through their GLT.

The pixels are stored as the sensor saw them (downtrack, crosstrack, bands). The geometry lookup table (GLT) says for
every pixel of a north-up map which of them lies there. Assumed layout (L1B radiance, L2A reflectance and its
uncertainty): one 3-D variable of the root group; `sensor_band_parameters` with `wavelengths` and `good_wavelengths`;
`location` with `glt_x` and `glt_y`, counted from 1, 0 or their `_FillValue` where there is nothing; `geotransform` in
GDAL's order and `spatial_ref` as WKT among the attributes of the file.

Source: EMIT L2A product description, Earth Observing System Data and Information System, LP DAAC.
No product was at hand to check this against: tested on small files of this layout.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.io.formats.array import Choice, FileArray, Format, number_of, reading
from hyperseg.io.formats.axes import make_grid
from hyperseg.io.formats.hdf5 import CHUNK_CACHE_BYTES, hdf5_arrays, inside, opened
from hyperseg.io.formats.windows import Handles, LazyCube, Window
from hyperseg.io.wavelengths import Centres

GLT = ("location/glt_x", "location/glt_y")
BANDS = "sensor_band_parameters/wavelengths"
CUBES = ("reflectance", "radiance", "reflectance_uncertainty")
FILL = -9999.0
# a window is put together from squares of this side: a swath lies askew, one wide row of the map crosses all of it
SQUARE_PX = 64


def is_emit(file: Any) -> bool:
    """Whether an opened file is a product with a GLT."""
    return all(key in file for key in (*GLT, BANDS)) and any(name in file for name in CUBES)


def open_emit(path: Path, choice: Choice) -> FileArray:
    """The main cube of a product on its map, lazily; pixels of the map that saw nothing are no-data."""
    with reading(path, "an EMIT product"), opened(path) as file:
        name = next(name for name in CUBES if name in file)
        cube, glt = file[name], file[GLT[0]]
        if cube.ndim != 3 or glt.ndim != 2 or glt.shape != file[GLT[1]].shape:
            raise DataFileError(
                f"{path}: {name} has shape {cube.shape} and the GLT {glt.shape}, expected (downtrack, "
                f"crosstrack, bands) and (rows, columns). Name the array as it is: {path}:{name}."
            )
        fill = float(np.ravel(cube.attrs.get("_FillValue", FILL))[0])
        reader = GltWindows(path, name, (*glt.shape, cube.shape[2]), np.dtype(cube.dtype), fill)
        good = file.get("sensor_band_parameters/good_wavelengths")
        return FileArray(
            LazyCube(reader, (0, 1, 2)),
            path,
            axes_known=True,
            centres=Centres(np.asarray(file[BANDS][()], np.float64), "nm"),
            bbl=None if good is None else np.asarray(good[()]).ravel() > 0,
            nodata=fill,
            grid=_grid(file),
            scale=1.0 if name == "reflectance" else None,
            about=f"EMIT {name}, put on the map through its GLT ({path.name}:{name} gives the raw swath)",
            in_chunks=True,
        )


class GltWindows:
    """Windows of the map of an EMIT product, axes (rows, columns, bands): each reads the part of the swath it shows.

    Nothing is interpolated: every pixel is a pixel of the swath, or `fill`.
    """

    def __init__(self, path: Path, key: str, shape: tuple[int, int, int], dtype: np.dtype[Any], fill: float) -> None:
        self.path, self.key, self.shape, self.dtype, self.fill = path, key, shape, dtype, fill
        self.tile = (SQUARE_PX, SQUARE_PX, shape[2])
        self._handles = Handles(partial(opened, path, cache_bytes=CHUNK_CACHE_BYTES))

    def read(self, window: Window) -> NDArray[Any]:
        (top, bottom), (left, right), (first, last) = window
        out = np.full((bottom - top, right - left, last - first), self.fill, self.dtype)
        with reading(self.path, "an EMIT product"):
            file = self._handles.get()
            for row in range(top, bottom, SQUARE_PX):
                for column in range(left, right, SQUARE_PX):
                    square = np.s_[row : min(row + SQUARE_PX, bottom), column : min(column + SQUARE_PX, right)]
                    x, y, seen = self._looked_up(file, square)
                    if not seen.any():
                        continue
                    x, y = x[seen], y[seen]
                    swath = file[self.key][y.min() : y.max() + 1, x.min() : x.max() + 1, first:last]
                    part = out[row - top : row - top + SQUARE_PX, column - left : column - left + SQUARE_PX]
                    part[seen] = swath[y - y.min(), x - x.min()]
        return out

    def thin(self, step: int, band: int) -> NDArray[Any]:
        """(rows, columns) of one band, every `step`-th pixel; the band is read in the swath's own order."""
        with reading(self.path, "an EMIT product"):
            file = self._handles.get()
            x, y, seen = self._looked_up(file, np.s_[::step, ::step])
            plane = file[self.key][..., band]
            return np.where(seen, plane[np.where(seen, y, 0), np.where(seen, x, 0)], self.fill)

    def _looked_up(self, file: Any, at: Any) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Column and row in the swath, and where there is one; marks of filled-in pixels (minus) are dropped."""
        found = [file[key][at].astype(np.int64) for key in GLT]
        fills = [number_of(file[key].attrs.get("_FillValue")) for key in GLT]
        seen = np.logical_and.reduce([(v != 0) & (v != fill) for v, fill in zip(found, fills, strict=True)])
        x, y = np.abs(found)
        rows, columns = file[self.key].shape[:2]
        if seen.any() and (x[seen].max() > columns or y[seen].max() > rows):
            raise DataFileError(
                f"{self.path}: its GLT points to row {y[seen].max()}, column {x[seen].max()} of a swath of "
                f"{rows} x {columns} pixels. Name the raw swath ({self.path}:{self.key}) or download it again."
            )
        return x - 1, y - 1, seen


def _grid(file: Any) -> Grid:
    numbers = np.ravel(np.asarray(file.attrs.get("geotransform", []), np.float64))
    affine = None
    if numbers.size == 6:
        x, dx, x_turn, y, y_turn, dy = (float(v) for v in numbers)
        affine = (dx, x_turn, x, y_turn, dy, y)
    place = file.attrs.get("spatial_ref")
    if isinstance(place, np.ndarray):
        place = place.ravel()[0] if place.size else None
    text = place.decode() if isinstance(place, bytes) else place
    return make_grid(affine, str(text) if text else None)


EMIT = Format("EMIT", (".nc",), inside(is_emit), open_emit, hdf5_arrays, kind="product")
