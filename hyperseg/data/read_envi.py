"""ENVI: a text header (.hdr) and a raw data file, read as a memory map."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.data.read_file import FileArray, reading, to_nm
from hyperseg.data.read_raster import raster_grid

DATA_SUFFIXES = ("", ".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".sli", ".bin", ".cub")


def envi_pair(path: Path) -> tuple[Path, Path] | None:
    """Header and data file of an ENVI pair given either, or None where `path` belongs to no such pair.

    Raises:
        DataFileError: `path` is a header whose data file is missing.
    """
    if path.suffix.lower() == ".hdr":
        stem = path.with_suffix("")
        for suffix in (*DATA_SUFFIXES, *(s.upper() for s in DATA_SUFFIXES[1:])):
            data = stem.with_name(stem.name + suffix)
            if data.is_file():
                return path, data
        raise DataFileError(
            f"{path}: this ENVI header has no data file beside it; expected {stem.name} or "
            f"{stem.name}.img, .dat, .raw, .bsq, .bil, .bip. Put both in one folder."
        )
    for header in (path.with_name(path.name + ".hdr"), path.with_suffix(".hdr"), path.with_suffix(".HDR")):
        if header.is_file() and _starts_as_envi(header):
            return header, path
    return None


def open_envi(header: Path, data: Path, *, key: str | None) -> FileArray:
    """An ENVI image (H, W, C) or spectral library (n, C) as a memory map; nothing is read but the header."""
    if key is not None:
        raise DataFileError(f"{data}: an ENVI file holds one array and no names; leave out {key!r}.")
    with reading(header, "an ENVI header"), warnings.catch_warnings():
        from spectral.io import envi

        warnings.simplefilter("ignore")  # spectral tells of lower-cased field names, which nobody can act on
        fields = envi.read_envi_header(str(header.absolute()))
        envi.check_compatibility(fields)
        parameters = envi.gen_params(fields)
    dtype = np.dtype(parameters.dtype)
    shape = (parameters.nrows, parameters.ncols, parameters.nbands)
    _check_size(header, data, fields, shape, dtype, parameters.offset)
    if dtype.kind not in "biuf":
        raise DataFileError(f"{data}: holds {dtype} values, real numbers were expected; convert the image.")
    array = _memory_map(header, data, fields, shape, dtype, parameters.offset)
    bands = array.shape[-1]
    with reading(header, "an ENVI header"):
        return FileArray(
            array,
            data,
            axes_known=True,
            wavelengths_nm=_wavelengths(fields, bands),
            bbl=_good_bands(fields, bands),
            nodata=float(fields["data ignore value"]) if "data ignore value" in fields else None,
            grid=raster_grid(data),
            names=_class_names(fields),
            palette=_palette(fields),
            rgb_bands=_default_bands(fields, bands),
        )


def _memory_map(
    header: Path,
    data: Path,
    fields: dict[str, Any],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    offset: int,
) -> NDArray[Any]:
    rows, columns, bands = shape
    with reading(data, "ENVI data"):
        if fields.get("file type", "").lower() == "envi spectral library":
            return np.memmap(data, dtype, "r", offset, (rows, columns))
        match str(fields["interleave"]).lower():
            case "bsq":
                return np.memmap(data, dtype, "r", offset, (bands, rows, columns)).transpose(1, 2, 0)
            case "bil":
                return np.memmap(data, dtype, "r", offset, (rows, bands, columns)).transpose(0, 2, 1)
            case "bip":
                return np.memmap(data, dtype, "r", offset, (rows, columns, bands))
            case other:
                raise DataFileError(
                    f"{header}: interleave is {other!r}, expected bsq, bil or bip; correct the header."
                )


def _check_size(
    header: Path,
    data: Path,
    fields: dict[str, Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
) -> None:
    if str(fields.get("file compression", "0")).strip() not in ("", "0"):
        raise DataFileError(f"{data}: is a compressed ENVI file; write it again without compression.")
    layout = f"{shape[0]} lines x {shape[1]} samples x {shape[2]} bands of {dtype}"
    if min(shape) < 1:
        raise DataFileError(f"{header}: promises {layout}; correct the header.")
    needed = offset + int(np.prod(shape)) * dtype.itemsize
    size = data.stat().st_size
    if size < needed:
        raise DataFileError(
            f"{data}: has {size} bytes, but {header.name} promises {needed} ({layout}). "
            "It is truncated or the header is another file's: copy both again."
        )


def _starts_as_envi(header: Path) -> bool:
    try:
        with header.open("rb") as file:
            return file.read(4) == b"ENVI"
    except OSError:
        return False


def _wavelengths(fields: dict[str, Any], bands: int) -> NDArray[np.float64] | None:
    values = fields.get("wavelength")
    if not isinstance(values, list) or len(values) != bands:
        return None
    return to_nm(np.asarray([float(v) for v in values]), unit=fields.get("wavelength units"))


def _good_bands(fields: dict[str, Any], bands: int) -> NDArray[np.bool_] | None:
    values = fields.get("bbl")
    if not isinstance(values, list) or len(values) != bands:
        return None
    return np.asarray([float(v) > 0 for v in values])


def _palette(fields: dict[str, Any]) -> dict[int, tuple[int, int, int]]:
    flat = [int(float(v)) for v in fields.get("class lookup", ())]
    return {i // 3: (flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)}


def _default_bands(fields: dict[str, Any], bands: int) -> tuple[int, int, int] | None:
    values = fields.get("default bands")
    if not isinstance(values, list) or len(values) != 3:
        return None
    red, green, blue = (int(float(v)) - 1 for v in values)
    return (red, green, blue) if min(red, green, blue) >= 0 and max(red, green, blue) < bands else None


def _class_names(fields: dict[str, Any]) -> dict[int, str]:
    names = fields.get("class names", [])
    return {code: name for code, name in enumerate(names) if name} if isinstance(names, list) else {}
