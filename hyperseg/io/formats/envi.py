"""ENVI: a text header (.hdr) and a raw data file, read as a memory map."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.core.words import listed
from hyperseg.io.formats import open_file
from hyperseg.io.formats.array import Choice, FileArray, Format, reading
from hyperseg.io.formats.axes import UNPLACED, raster_grid
from hyperseg.io.formats.envi_header import ORDERS, Header, Layout, starts_as_envi
from hyperseg.io.map_info import map_info_grid

log = logging.getLogger(__name__)

TIFF_SUFFIXES = (".tif", ".tiff")
DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".sli", ".bin", ".cub")


def header_of(path: Path) -> Path | None:
    """The header of an image given by either of its files, or None for other files.

    A TIFF says itself what it is, whatever text lies beside it.
    """
    if path.is_dir() or path.suffix.lower() in TIFF_SUFFIXES:
        return None
    if path.suffix.lower() == ".hdr":
        return path
    if not path.name or not path.is_file():
        return None
    beside = [p for suffix in (".hdr", ".HDR") for p in (path.with_name(path.name + suffix), path.with_suffix(suffix))]
    return next((header for header in beside if header.is_file() and starts_as_envi(header)), None)


def data_of(header: Header) -> Path:
    """The data file of a header: one of the usual names, else the only other file of its stem whose size fits.

    A header that is a link may have its data where it lies itself.

    Raises:
        DataFileError: there is none, or more than one.
    """
    places = dict.fromkeys((header.path, header.path.resolve()))
    suffixes = TIFF_SUFFIXES if header.of_tiff else DATA_SUFFIXES
    for place in places:
        stem = place.with_suffix("")
        for suffix in (*suffixes, *(s.upper() for s in suffixes)):
            data = stem.with_name(stem.name + suffix)
            if data.is_file() and data.suffix.lower() != ".hdr":
                return data
    names = f"{header.path.stem} or {header.path.stem}{', '.join(filter(None, suffixes))}"
    found = [] if header.of_tiff else _of_fitting_size(places, header.layout())
    if len(found) == 1:
        return found[0]
    if found:
        raise DataFileError(
            f"{header.path}: {listed((p.name for p in found), most=5)} may be the data of this ENVI header; name the "
            "one you mean instead of the header."
        )
    raise DataFileError(
        f"{header.path}: this ENVI header has no data file beside it; expected {names}. Put both in one folder."
    )


def _of_fitting_size(places: Iterable[Path], layout: Layout) -> list[Path]:
    low = layout.offset + layout.rows * layout.line_bytes
    found: list[Path] = []
    for place in places:
        beside = (p for p in place.parent.glob(f"{glob.escape(place.stem)}*") if p.suffix.lower() != ".hdr")
        found += sorted(p for p in beside if p.is_file() and low <= p.stat().st_size < low + layout.line_bytes)
        if found:
            break
    return found


@contextmanager
def without_header(path: Path) -> Iterator[None]:
    """Around a try to open a file with another reader: if that fails for a raw file, say that its header is missing."""
    try:
        yield
    except DataFileError as error:
        if path.suffix.lower() not in DATA_SUFFIXES:
            raise
        names = (path.name + ".hdr", path.stem + ".hdr")
        beside = next((name for name in names if path.with_name(name).is_file()), None)
        found = f"{beside} beside it does not begin with ENVI" if beside else f"no {names[1]} lies beside it"
        raise DataFileError(
            f"{path}: GDAL does not know it ({path.stat().st_size} bytes), and as raw numbers it needs an ENVI "
            f"header: {found}. Copy the .hdr of this image into the same folder."
        ) from error


def open_envi(path: Path, choice: Choice) -> FileArray:
    """An ENVI image (H, W, C) or spectral library (n, C) as a memory map; nothing is read but the header.

    "data ignore value" becomes the no-data value, "bbl" the good bands and "reflectance scale factor" the
    scale. All real types (data type 1-5 and 12-15), both byte orders, any header offset.
    """
    header = Header.read(header_of(path) or path)
    place = header.path
    data = data_of(header) if place == path else path
    if data.suffix.lower() in TIFF_SUFFIXES:
        return open_file(data, choice)
    if choice.key is not None:
        raise DataFileError(f"{data}: an ENVI file holds one array and no names; leave out {choice.key!r}.")
    layout = header.layout()
    _check_size(place, data, layout)
    array = _memory_map(data, layout)
    bands = array.shape[-1]
    with reading(place, "an ENVI header"):
        return FileArray(
            array,
            data,
            axes_known=True,
            centres=header.centres(bands),
            bbl=header.good_bands(bands),
            nodata=header.number("data ignore value"),
            grid=_grid(header, data),
            names=_class_names(header.fields),
            palette=_palette(header.fields),
            rgb_bands=_default_bands(header.fields, bands),
            scale=header.scale(),
            about=f"ENVI {'spectral library' if layout.library else layout.interleave.upper()}",
        )


def _grid(header: Header, data: Path) -> Grid:
    if any(name in header.fields for name in ("geo points", "rpc info")) and "map info" not in header.fields:
        log.info(UNPLACED, data, "geo points" if "geo points" in header.fields else "RPCs")
    grid = map_info_grid(header.fields)
    return raster_grid(data) if grid.affine is None else grid  # a side file of GDAL may say it


def _memory_map(data: Path, it: Layout) -> NDArray[Any]:
    size, stored = (it.rows, it.columns, it.bands), ORDERS[it.interleave]  # axes as the file has them, slowest first
    with reading(data, "ENVI data"):
        if it.library:
            return np.memmap(data, it.dtype, "r", it.offset, size[:2])
        mapped = np.memmap(data, it.dtype, "r", it.offset, tuple(size[axis] for axis in stored))
        return mapped.transpose([stored.index(axis) for axis in range(3)])


def _check_size(header: Path, data: Path, layout: Layout) -> None:
    needed = layout.offset + layout.rows * layout.line_bytes
    size = data.stat().st_size
    if size < needed:
        raise DataFileError(
            f"{data}: has {size} bytes, but {header.name} promises {needed} ({layout}). "
            "It is truncated or the header is another file's: copy both again."
        )
    if size - needed >= layout.line_bytes:
        raise DataFileError(
            f"{data}: has {size} bytes, {size - needed} more than {header.name} promises ({layout}): the pixels "
            "would be torn apart. Correct lines, samples, bands, data type or header offset."
        )
    if size > needed:
        log.warning("%s: %d bytes after the last pixel are left out", data, size - needed)


def _palette(fields: Mapping[str, Any]) -> dict[int, tuple[int, int, int]]:
    flat = [int(float(v)) for v in fields.get("class lookup", ())]
    return {i // 3: (flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)}


def _default_bands(fields: Mapping[str, Any], bands: int) -> tuple[int, int, int] | None:
    values = fields.get("default bands")
    if not isinstance(values, list) or len(values) != 3:
        return None
    red, green, blue = (int(float(v)) - 1 for v in values)
    return (red, green, blue) if min(red, green, blue) >= 0 and max(red, green, blue) < bands else None


def _class_names(fields: Mapping[str, Any]) -> dict[int, str]:
    names = fields.get("class names", [])
    return {code: name for code, name in enumerate(names) if name} if isinstance(names, list) else {}


ENVI = Format("ENVI", (".hdr",), lambda path: header_of(path) is not None, open_envi)
