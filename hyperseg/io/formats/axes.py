"""Which axis holds the bands where axes have names, and where on the map the pixels lie."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid
from hyperseg.io.formats.windows import import_rasterio

log = logging.getLogger(__name__)

BAND_NAMES = ("band", "bands", "wavelength", "wavelengths", "wl", "lambda", "channel", "channels", "spectral", "z")
ROW_NAMES = ("y", "row", "rows", "lat", "latitude", "line", "lines", "northing", "downtrack")
COLUMN_NAMES = ("x", "column", "columns", "lon", "longitude", "sample", "samples", "easting", "crosstrack")


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
    and the attributes of the grid mapping: `GeoTransform` (GDAL's order) and `crs_wkt` or `spatial_ref`.
    """
    affine = None
    numbers = str(attributes.get("GeoTransform", "")).split()
    if len(numbers) == 6:
        left, dx, turn_x, top, turn_y, dy = map(float, numbers)
        affine = (dx, turn_x, left, turn_y, dy, top)
    elif x is not None and y is not None and _even(x) and _even(y):
        dx, dy = (float(v[-1] - v[0]) / (len(v) - 1) for v in (x, y))
        affine = (dx, 0.0, float(x[0]) - dx / 2, 0.0, dy, float(y[0]) - dy / 2)
    crs = attributes.get("crs_wkt") or attributes.get("spatial_ref") or attributes.get("crs")
    try:
        return make_grid(affine, crs)
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
    if affine is None or not crs.is_projected:
        return Grid(crs=name, affine=affine)
    metres = float(crs.linear_units_factor[1])
    a, b, _, d, e, _ = affine
    return Grid(
        spacing=(float(np.hypot(b, e)) * metres, float(np.hypot(a, d)) * metres), unit="m", crs=name, affine=affine
    )


def raster_grid(path: Path) -> Grid:
    """Grid of a raster file, or an unknown one where GDAL cannot tell."""
    try:
        with import_rasterio().open(path) as source:
            return grid_of(source)
    except Exception as error:  # coordinates are a bonus here: the pixels were read by other means
        log.info("%s: no coordinates (%s)", path, error)
        return Grid()


def fill_of(attributes: Mapping[str, Any]) -> float | None:
    """The no-data value among attributes, or None."""
    for name in ("_FillValue", "nodata", "missing_value"):
        value = attributes.get(name)
        if isinstance(value, int | float | np.number) and np.isfinite(value):  # NaN is missing by itself
            return float(value)
    return None


def _even(values: NDArray[Any]) -> bool:
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iuf":
        return False
    steps = np.diff(values.astype(np.float64))
    return bool(steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3))
