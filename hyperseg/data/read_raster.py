"""GeoTIFF and everything else that GDAL opens: lazy windows, coordinates, palette, class names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.data.read_file import KNOWN, FileArray, reading, to_nm
from hyperseg.data.read_windows import LazyCube, RasterWindows, import_rasterio

log = logging.getLogger(__name__)


def open_raster(path: Path, *, key: str | None) -> FileArray:
    """A raster as a lazy (H, W, C) array; only its header is read."""
    if key is not None:
        raise DataFileError(f"{path}: a raster holds one array and no names; leave out {key!r}.")
    with reading(path, f"a raster (known: {KNOWN})"), import_rasterio().open(path) as source:
        if source.count == 0:
            raise DataFileError(
                f"{path}: GDAL finds no band in it but {len(source.subdatasets)} subdatasets. "
                "Convert the one you mean to GeoTIFF, or give it the suffix .h5 and choose FILE:KEY."
            )
        dtype = np.result_type(*source.dtypes)
        if dtype.kind not in "biuf":
            raise DataFileError(
                f"{path}: holds {dtype} values, real numbers were expected; convert the raster."
            )
        reader = RasterWindows(path, (source.height, source.width, source.count), dtype)
        return FileArray(
            LazyCube(reader, (0, 1, 2)),
            path,
            axes_known=True,
            wavelengths_nm=_wavelengths(source),
            nodata=source.nodata,
            grid=grid_of(source),
            names=_category_names(path),
            palette=_palette(source),
        )


def grid_of(source: Any) -> Grid:
    """Grid of an opened rasterio data set: spacing in metres on a projected map, else in pixels."""
    transform = source.transform
    affine = None if transform.is_identity else tuple(float(v) for v in transform[:6])
    if source.crs is None:
        return Grid(affine=affine)
    code = source.crs.to_epsg()
    crs = f"EPSG:{code}" if code else source.crs.to_wkt()
    if affine is None or not source.crs.is_projected:
        return Grid(crs=crs, affine=affine)
    metres = float(source.crs.linear_units_factor[1])
    a, b, _, d, e, _ = affine
    return Grid(
        spacing=(float(np.hypot(b, e)) * metres, float(np.hypot(a, d)) * metres),
        unit="m",
        crs=crs,
        affine=affine,
    )


def raster_grid(path: Path) -> Grid:
    """Grid of a raster file, or an unknown one where GDAL cannot tell."""
    try:
        with import_rasterio().open(path) as source:
            return grid_of(source)
    except Exception as error:  # coordinates are a bonus here: the pixels were read by other means
        log.info("%s: no coordinates (%s)", path, error)
        return Grid()


def _wavelengths(source: Any) -> NDArray[np.float64] | None:
    centres = []
    unit = None
    for band in source.indexes:
        tags = {k.lower(): v for k, v in source.tags(band).items()}
        micrometres = source.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
        text = micrometres or tags.get("wavelength") or tags.get("central_wavelength")
        unit = "um" if micrometres else tags.get("wavelength_units", unit)
        try:
            centres.append(float(text))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
    return to_nm(np.asarray(centres), unit=unit)


def _palette(source: Any) -> dict[int, tuple[int, int, int]]:
    if source.count != 1 or source.dtypes[0] not in ("uint8", "uint16"):
        return {}
    try:
        return {code: rgba[:3] for code, rgba in source.colormap(1).items()}
    except ValueError:  # rasterio's way to say that there is no colour table
        return {}


def _category_names(path: Path) -> dict[int, str]:
    """Class names by code from the .aux.xml beside a raster: rasterio has no call for them."""
    sidecar = path.with_name(path.name + ".aux.xml")
    if not sidecar.is_file():
        return {}
    try:
        categories = ElementTree.parse(sidecar).findall("./PAMRasterBand[@band='1']/CategoryNames/Category")
    except ElementTree.ParseError as error:
        log.warning("%s: is not XML (%s); class names are left out", sidecar, error)
        return {}
    return {
        code: node.text.strip() for code, node in enumerate(categories) if node.text and node.text.strip()
    }
