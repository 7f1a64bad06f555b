"""File formats of scenes: one file each, and `FORMATS`, the table by which a file finds its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.parts import Entry, Parts
from hyperseg.core.words import nearest
from hyperseg.io.formats.array import ANY, ArrayEntry, Choice, FileArray, Format

# asked in this order; a format is imported when it is asked for the first time
FORMATS = Parts(
    "format",
    {
        "EnMAP": Entry("hyperseg.io.formats.enmap:ENMAP", "SPECTRAL_IMAGE.TIF and its METADATA.XML; lazy"),
        "EMIT": Entry("hyperseg.io.formats.emit:EMIT", ".nc, put on the map through its GLT; lazy"),
        "PRISMA": Entry("hyperseg.io.formats.prisma:PRISMA", ".he5, VNIR and SWIR as one cube; lazy"),
        "Zarr": Entry("hyperseg.io.formats.zarr:ZARR", "folders of chunks, version 2 and 3; lazy"),
        "MATLAB": Entry("hyperseg.io.formats.matlab:MATLAB", ".mat, version 4 to 7.3; lazy from 7.3 on"),
        "HDF5": Entry("hyperseg.io.formats.hdf5:HDF5", ".h5 .hdf5 .he5, netCDF 4 (.nc); lazy"),
        "NumPy": Entry("hyperseg.io.formats.npy:NUMPY", ".npy, a memory map; .npz, read at once"),
        "ENVI": Entry("hyperseg.io.formats.envi:ENVI", ".hdr and its data file; a memory map"),
        "GeoTIFF": Entry("hyperseg.io.formats.raster:GEOTIFF", ".tif .tiff, and whatever GDAL opens; lazy"),
    },
)


def format_of(path: Path, choice: Choice = ANY) -> Format:
    """The format that an array of a file is to be read with.

    Raises:
        DataFileError: no format recognises it.
    """
    named = choice.key is not None or choice.ndim == 2
    for kind in ("file", "any") if named else ("product", "file", "any"):
        for form in FORMATS.values():
            if form.kind == kind and form.recognises(path):
                found: Format = form
                return found
    raise DataFileError(f"{path}: is of no known format; expected {known_formats()}.")


def open_file(path: Path, choice: Choice) -> FileArray:
    """One array of a file that exists, with the format that recognises it."""
    return format_of(path, choice).open(path, choice)


def list_arrays(path: Path) -> Mapping[str, ArrayEntry | None]:
    """Every array of a file by name, with shape and type where they are known; empty for files of one array."""
    return format_of(path).arrays(path)


def known_formats() -> str:
    """What can be read, for messages."""
    names = (f"{form.name} ({' '.join(form.suffixes)})" for form in FORMATS.values())
    return f"{', '.join(names)} and whatever GDAL opens"


def is_data(path: Path) -> bool:
    """Whether there is something to open: a file, or a folder that a format recognises."""
    return path.is_file() or (path.is_dir() and any(form.recognises(path) for form in FORMATS.values()))


def check_file(path: Path) -> None:
    """Refuse what is no data before any format sees it.

    Raises:
        DataFileError: a missing or empty file, or a folder that is no format's.
    """
    if path.is_dir() and not is_data(path):
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:5]
        hint = f"; it holds {', '.join(inside)}" if inside else "; it is empty"
        raise DataFileError(f"{path}: is a folder, a data file was expected{hint}. Name one file.")
    if not path.exists():
        hint = f"the folder {path.parent} does not exist either"
        if path.parent.is_dir():
            close = nearest(path.name, (p.name for p in path.parent.iterdir()))
            hint = f"did you mean {close}?" if close else f"check the spelling; {path.parent} exists"
        raise DataFileError(f"{path}: no such file ({hint}).")
    if path.is_file() and path.stat().st_size == 0:
        raise DataFileError(f"{path}: is empty (0 bytes), expected {known_formats()}. Copy or download it again.")
