"""Which axis holds the bands where axes have names, and where on the map the pixels lie."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid
from hyperseg.io.formats.array import number_of
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.grid_mapping import mapped_crs
from hyperseg.io.paths import refuse_pipes

log = logging.getLogger(__name__)

BAND_NAMES = ("band", "bands", "wavelength", "wavelengths", "wl", "lambda", "channel", "channels", "spectral", "z")
ROW_NAMES = ("y", "row", "rows", "lat", "latitude", "line", "lines", "northing", "downtrack")
COLUMN_NAMES = ("x", "column", "columns", "lon", "longitude", "sample", "samples", "easting", "crosstrack")

UNPLACED = (
    "%s: has %s but no transform: its coordinates are not used; warp it with gdalwarp first to have them in the map"
)


def axes_of(names: Sequence[Any]) -> tuple[int, ...] | None:
    """Order of the axes that makes (rows, columns, bands) or (rows, columns), or None where names do not tell."""
    plain = [str(name).lower() for name in names]
    if len(plain) == 3:
        bands = [i for i, name in enumerate(plain) if name in BAND_NAMES or name.startswith("wave")]
        if len(bands) != 1:
            return None
        pixels = [i for i in range(3) if i != bands[0]]
    else:
        bands, pixels = [], list(range(len(plain)))
    if len(pixels) == 2 and plain[pixels[0]] in COLUMN_NAMES and plain[pixels[1]] in ROW_NAMES:
        pixels = pixels[::-1]
    return (*pixels, *bands) if len(pixels) == 2 else None


def grid_from(x: NDArray[Any] | None, y: NDArray[Any] | None, attributes: Mapping[str, Any]) -> Grid:
    """A grid from what CF and GDAL write beside an array: evenly spaced coordinates of the pixels' centres, or None,
    and the attributes of the grid mapping: `GeoTransform` (GDAL's order), and what `mapped_crs` reads.

    Where the two places differ, the coordinates are right: a part of an array may keep the whole one's `GeoTransform`.
    """
    affine: tuple[float, ...] | None = None
    numbers = [number_of(v) for v in str(attributes.get("GeoTransform", "")).split()]
    known = [n for n in numbers if n is not None]
    if len(numbers) == len(known) == 6:
        left, dx, turn_x, top, turn_y, dy = known
        affine = (dx, turn_x, left, turn_y, dy, top)
    if x is not None and y is not None and _even(x) and _even(y):
        dx, dy = (float(v[-1] - v[0]) / (len(v) - 1) for v in (x, y))
        found = (dx, 0.0, float(x[0]) - dx / 2, 0.0, dy, float(y[0]) - dy / 2)
        if affine is None or not np.allclose(affine, found, rtol=1e-3, atol=min(abs(dx), abs(dy)) / 4):
            affine = found
    try:
        return make_grid(affine, mapped_crs(attributes))
    except Exception:  # a CRS that nobody can read is no reason not to read the pixels
        return Grid(affine=affine)


def grid_of(source: Any) -> Grid:
    """Grid of an opened rasterio data set: spacing in metres on a projected map, else in pixels."""
    transform = source.transform
    affine = None if transform.is_identity else tuple(float(v) for v in transform[:6])
    return make_grid(affine, source.crs)


def make_grid(affine: tuple[float, ...] | None, crs: Any) -> Grid:
    """A grid from six numbers of an affine transform and a rasterio CRS (or text that makes one); both optional."""
    if crs is None:
        return Grid(affine=affine)
    if not hasattr(crs, "to_epsg"):
        crs = import_rasterio().crs.CRS.from_user_input(crs)
    code = crs.to_epsg()
    name = f"EPSG:{code}" if code else crs.to_wkt()
    if not (crs.is_projected or crs.is_geographic):  # a plane of its own ("Arbitrary"): nobody knows where
        metres, name = _local_unit(crs.to_wkt()), None
    else:
        metres = float(crs.linear_units_factor[1]) if crs.is_projected else None
    if affine is None or metres is None:
        return Grid(crs=name, affine=affine)
    a, b, _, d, e, _ = affine
    return Grid(
        spacing=(float(np.hypot(b, e)) * metres, float(np.hypot(a, d)) * metres), unit="m", crs=name, affine=affine
    )


def in_degrees(grid: Grid) -> bool:
    """Whether coordinates are longitude and latitude."""
    return grid.crs is not None and bool(import_rasterio().crs.CRS.from_user_input(grid.crs).is_geographic)


def raster_grid(path: Path) -> Grid:
    """Grid of a raster file, or an unknown one where GDAL cannot tell."""
    try:
        refuse_pipes(path)
        with import_rasterio().open(path) as source:
            return grid_of(source)
    except Exception as error:  # coordinates are a bonus here: the pixels were read by other means
        log.info("%s: no coordinates (%s)", path, error)
        return Grid()


def fill_of(attributes: Mapping[str, Any]) -> float | None:
    """The no-data value among attributes, or None."""
    for name in ("_FillValue", "nodata", "missing_value"):
        value = number_of(attributes.get(name))
        if value is not None:  # NaN is missing by itself
            return value
    return None


def _local_unit(wkt: str) -> float | None:
    """Metres in the unit of a plane without a place, or None where it is no length."""
    found = re.findall(r'UNIT\["([^"]*)",\s*([\d.eE+-]+)', wkt)
    return float(found[-1][1]) if found and found[-1][0].lower() not in ("unknown", "degree", "pixel") else None


def _even(values: NDArray[Any]) -> bool:
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iuf":
        return False
    steps = np.diff(values.astype(np.float64))
    return bool(steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3))
