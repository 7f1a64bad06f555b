"""GeoTIFF and everything else that GDAL opens: lazy windows, coordinates, palette, class names."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.core.words import some
from hyperseg.io.formats import known_formats
from hyperseg.io.formats.array import SCALE_UNUSED, ArrayChoiceError, Choice, FileArray, Format, reading
from hyperseg.io.formats.axes import UNPLACED, grid_of
from hyperseg.io.formats.envi import without_header
from hyperseg.io.formats.envi_header import GDAL_DOMAIN, Header, starts_as_envi
from hyperseg.io.formats.windows import Handles, LazyCube, Window, import_rasterio
from hyperseg.io.labels.categories import categories_of
from hyperseg.io.paths import for_gdal, refuse_pipes
from hyperseg.io.wavelengths import Centres, centres_in

log = logging.getLogger(__name__)

ALPHA_ROWS, ALPHA_BETWEEN = 9, 0.5  # rows of an alpha band looked at, and the share of them that may be half clear


def open_raster(path: Path, choice: Choice) -> FileArray:
    """A raster, or the subdataset whose name ends in the wanted key, as a lazy (H, W, C) array."""
    with without_header(path), reading(path, f"a raster (known: {known_formats()})"):
        source = _opened(path)
    with source, reading(path, "a raster"):
        name = _subdataset(path, source, choice.key) or path
    with reading(path, "a raster"), _opened(name) as source:
        names, painted = categories_of(path, source)
        alpha = _alpha(path, source)
        bands = tuple(band for band in source.indexes if band != alpha)
        dtype = np.result_type(*(source.dtypes[band - 1] for band in bands))
        if dtype.kind not in "biuf":
            raise DataFileError(f"{path}: holds {dtype} values, real numbers were expected; convert the raster.")
        grid = grid_of(source)
        if grid.affine is None and (source.gcps[0] or source.rpcs):
            log.info(UNPLACED, path, "ground control points" if source.gcps[0] else "RPCs")
        found = FileArray(
            LazyCube(RasterWindows(path, name, source, dtype, bands), (0, 1, 2)),
            path,
            key=choice.key,
            axes_known=True,
            centres=_centres(source, bands),
            bbl=_good_bands(source, bands),
            nodata=source.nodata,
            mask=_mask(path, name, source, alpha),
            grid=grid,
            names=names,
            palette=_palette(source) or painted,
            scale=_scale(source),
            about=f"{source.driver} raster",
        )
        return _completed(found)


def raster_arrays(path: Path) -> dict[str, None]:
    """The rasters of a file that has no band of its own, by the ends of their names; else nothing to choose from."""
    with reading(path, "a raster"), _opened(path) as source:
        return {} if source.count else dict.fromkeys(map(_last, source.subdatasets))


class RasterWindows:
    """Windows of a raster file, axes (rows, columns, bands), through GDAL.

    Attributes:
        path, shape: of the file.
        dtype: what comes out.
        tile: (rows, columns, bands) that the file stores, and so decodes, together.
        bands: of the file, counted from 1, in the order of the last axis.
    """

    def __init__(self, path: Path, name: str | Path, source: Any, dtype: np.dtype[Any], bands: tuple[int, ...]) -> None:
        self.path, self.dtype, self.bands = path, dtype, bands
        self.shape = (source.height, source.width, len(bands))
        self.tile = (*(int(n) for n in source.block_shapes[0]), 1)
        self._handles = Handles(partial(_opened, name))

    def read(self, window: Window) -> NDArray[Any]:
        rows, columns, (first, last) = window
        with reading(self.path, "a raster"):
            block = self._handles.get().read(list(self.bands[first:last]), window=(rows, columns), out_dtype=self.dtype)
        return np.moveaxis(block, 0, -1)

    def thin(self, step: int, band: int) -> NDArray[Any]:
        """(rows, columns) of one band, about every `step`-th pixel: from overviews where the file has them."""
        shape = tuple(-(-n // step) for n in self.shape[:2])
        with reading(self.path, "a raster"):
            return np.asarray(self._handles.get().read(self.bands[band], out_shape=shape, out_dtype=self.dtype))


class MaskWindows:
    """Windows of the mask of a raster file, axes (rows, columns), True where there is data.

    Attributes:
        path, shape: of the file.
        alpha: the band that is the mask, counted from 1; or None for one that GDAL keeps for the whole data set.
    """

    def __init__(self, path: Path, name: str | Path, source: Any, alpha: int | None) -> None:
        self.path, self.alpha, self.dtype = path, alpha, np.dtype(bool)
        self.shape = (source.height, source.width)
        self.tile = tuple(int(n) for n in source.block_shapes[0])
        self._handles = Handles(partial(_opened, name))

    def read(self, window: Window) -> NDArray[Any]:
        with reading(self.path, "the mask of a raster"):
            return self._read(window=tuple(window))

    def thin(self, step: int) -> NDArray[Any]:
        """About every `step`-th pixel of it."""
        with reading(self.path, "the mask of a raster"):
            return self._read(out_shape=tuple(-(-n // step) for n in self.shape))

    def _read(self, **which: Any) -> NDArray[Any]:
        source = self._handles.get()
        return np.asarray(
            (source.read_masks(1, **which) if self.alpha is None else source.read(self.alpha, **which)) != 0
        )


def _alpha(path: Path, source: Any) -> int | None:
    """The band that says where there is data, counted from 1, or None.

    Programs that know pictures only mark a fourth or last band as alpha whatever it holds: one that holds measurements
    is a band like others.
    """
    from rasterio.enums import ColorInterp

    marked = [band for band in source.indexes if source.colorinterp[band - 1] == ColorInterp.alpha]
    if len(marked) != 1 or source.count < 2:
        return None
    (alpha,) = marked
    rows = np.unique(np.linspace(0, source.height - 1, ALPHA_ROWS).astype(int))
    seen = np.concatenate([source.read(alpha, window=((r, r + 1), (0, source.width))).ravel() for r in rows.tolist()])
    between = (seen != 0) & (seen != seen.max())
    if between.mean() > ALPHA_BETWEEN:
        log.warning("%s: band %d is marked as alpha but holds measurements: it stays a band", path, alpha - 1)
        return None
    log.info("%s: band %d (counted from 0) is an alpha band: it says where there is data", path, alpha - 1)
    return alpha


def _mask(path: Path, name: str | Path, source: Any, alpha: int | None) -> LazyCube | None:
    """The mask of an opened data set: its alpha band, one inside the file, or one beside it (.msk)."""
    from rasterio.enums import MaskFlags

    flags = source.mask_flag_enums
    if alpha is None and not all(MaskFlags.per_dataset in of and MaskFlags.alpha not in of for of in flags):
        return None
    return LazyCube(MaskWindows(path, name, source, alpha), (0, 1))


def _opened(name: str | Path) -> Any:
    if isinstance(name, Path):
        refuse_pipes(name)
    return import_rasterio().open(for_gdal(name))


def _last(name: str) -> str:
    return name.rsplit(":", 1)[-1].strip('"/')


def _subdataset(path: Path, source: Any, key: str | None) -> str | None:
    """What GDAL is to open instead of the file, or None for the file itself."""
    named = {_last(name): name for name in source.subdatasets}
    if key is None and source.count > 0:
        return None
    if not named:
        what = "and no names; leave out " + repr(key) if key is not None else "less: GDAL finds no band in it"
        raise DataFileError(f"{path}: a raster holds one array {what}.")
    fits = [full for short, full in named.items() if key is not None and short in (key, key.strip("/"))]
    if len(fits) == 1:
        return fits[0]
    found = f"holds no array {key!r}" if key is not None else "holds no band of its own"
    raise ArrayChoiceError(
        f"{path}: {found} but {len(named)} subdatasets: {some(named, 12)}. Choose one as FILE:KEY, for example "
        f"{path}:{next(iter(named))}."
    )


def _tags(source: Any, band: int = 0, ns: str | None = None) -> dict[str, str]:
    """Tags of a band, or of the file, by their names in lower case."""
    return {k.lower(): v for k, v in source.tags(band, ns=ns).items()}


def _completed(file: FileArray) -> FileArray:
    """With what an ENVI header beside a raster of another format says of the bands, where the raster does not."""
    names = (file.path.with_name(file.path.name + ".hdr"), file.path.with_suffix(".hdr"))
    beside = next((name for name in names if name.is_file() and starts_as_envi(name)), None)
    if beside is None:
        return file
    try:
        header = Header.read(beside)
        if header.size() != file.array.shape:
            raise DataFileError(f"{beside}: is of another size.")
        bands, nodata, scale = file.array.shape[-1], header.number("data ignore value"), header.scale()
        log.info("%s: what the header %s says of the bands is used", file.path, beside.name)
        return replace(
            file,
            centres=file.centres or header.centres(bands),
            bbl=header.good_bands(bands) if file.bbl is None else file.bbl,
            nodata=nodata if file.nodata is None else file.nodata,
            scale=scale if file.scale is None else file.scale,
        )
    except DataFileError as error:
        log.info("%s: its ENVI header is left out (%s)", file.path, error)
        return file


def _centres(source: Any, bands: tuple[int, ...]) -> Centres | None:
    """From tags of the bands, else from their descriptions."""
    centres = []
    unit = None
    for band in bands:
        tags = _tags(source, band)
        micrometres = source.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
        text = micrometres or tags.get("wavelength") or tags.get("central_wavelength")
        unit = "um" if micrometres else tags.get("wavelength_units", unit)
        try:
            centres.append(float(text))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return centres_in([source.descriptions[band - 1] for band in bands])
    return Centres(np.asarray(centres), unit)


def _good_bands(source: Any, bands: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """From a list in the tags of the file (as ENVI's bbl), or from a tag of every band."""
    for tags in (_tags(source), _tags(source, ns=GDAL_DOMAIN)):
        values = tags.get("bbl", "").strip("{} ").replace(",", " ").split()
        if len(values) == len(bands) and all(v in ("0", "1", "0.0", "1.0") for v in values):
            return np.asarray([float(v) > 0 for v in values])
    found = [_tags(source, band) for band in bands]
    marks = [next((t[k] for k in ("bbl", "good_band", "good_wavelengths") if k in t), None) for t in found]
    if any(mark is None for mark in marks):
        return None
    return np.asarray([str(mark).strip().lower() in ("1", "1.0", "true", "yes", "good") for mark in marks])


def _scale(source: Any) -> float | None:
    """From GDAL's scale (reflectance = value x scale), where it is one for all bands and has no offset."""
    scales = {float(s) for s in source.scales}
    if len(scales) == 1 and not any(source.offsets) and scales != {1.0}:
        (scale,) = scales
        return round(1 / scale, 6) if np.isfinite(scale) and scale > 0 else None
    if any(source.offsets) or len(scales) > 1:
        log.info("%s: %s", source.name, SCALE_UNUSED)
    for tags in (_tags(source), _tags(source, ns=GDAL_DOMAIN)):
        text = {k.replace(" ", "_"): v for k, v in tags.items()}.get("reflectance_scale_factor", "")
        try:
            return float(text) if float(text) > 0 else None
        except ValueError:
            continue
    return None


def _palette(source: Any) -> dict[int, tuple[int, int, int]]:
    if source.count != 1 or source.dtypes[0] not in ("uint8", "uint16"):
        return {}
    try:
        return {code: rgba[:3] for code, rgba in source.colormap(1).items()}
    except ValueError:  # rasterio's way to say that there is no colour table
        return {}


GEOTIFF = Format("GeoTIFF", (".tif", ".tiff"), lambda path: not path.is_dir(), open_raster, raster_arrays, kind="any")
