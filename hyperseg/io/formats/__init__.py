"""File formats of scenes: one file each, and `FORMATS`, the table by which a file finds its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.parts import Entry, Parts
from hyperseg.core.words import nearest, some
from hyperseg.io.formats.array import ANY, ArrayEntry, Choice, FileArray, Format, reading
from hyperseg.io.paths import archive_of, is_virtual, members, rasters_in

# asked in this order; a format is imported when it is asked for the first time
FORMATS = Parts(
    "format",
    {
        "EnMAP": Entry("hyperseg.io.formats.enmap:ENMAP", "SPECTRAL_IMAGE.TIF and its METADATA.XML; lazy"),
        "EMIT": Entry("hyperseg.io.formats.emit:EMIT", ".nc, put on the map through its GLT; lazy"),
        "PRISMA": Entry("hyperseg.io.formats.prisma:PRISMA", ".he5, VNIR and SWIR as one cube; lazy"),
        "NEON": Entry("hyperseg.io.formats.neon:NEON", ".h5 of the airborne observatory; lazy"),
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
    if is_virtual(path):
        return next(form for form in FORMATS.values() if form.kind == "any")
    named = choice.key is not None or choice.ndim == 2
    for kind in ("file", "any") if named else ("product", "file", "any"):
        for form in FORMATS.values():
            if form.kind == kind and form.recognises(path):
                found: Format = form
                return found
    raise DataFileError(f"{path}: is of no known format; expected {known_formats()}.")


def open_file(path: Path, choice: Choice) -> FileArray:
    """One array of a file that exists, with the format that recognises it."""
    form = format_of(path, choice)
    with reading(path, form.name):  # the last net: whatever a format does not foresee is told in one line too
        return form.open(path, choice)


def list_arrays(path: Path) -> Mapping[str, ArrayEntry | None]:
    """Every array of a file by name, with shape and type where they are known; empty for files of one array."""
    form = format_of(path)
    with reading(path, form.name):
        return form.arrays(path)


def known_formats() -> str:
    """What can be read, for messages."""
    names = (f"{form.name} ({' '.join(form.suffixes)})" for form in FORMATS.values())
    return f"{', '.join(names)} and whatever GDAL opens"


def is_data(path: Path) -> bool:
    """Whether there is something to open: a file, or a folder that a format recognises."""
    if is_virtual(path):
        return True
    return os.path.isfile(path) or (os.path.isdir(path) and any(form.recognises(path) for form in FORMATS.values()))


def check_file(path: Path) -> None:
    """Refuse what is no data before any format sees it.

    Raises:
        DataFileError: a missing or empty file, a folder that is no format's, or no file at all (a pipe).
    """
    if is_virtual(path):
        return
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataFileError(f"{path}: no such file ({_missing(path)}).") from None
    except (OSError, ValueError) as error:  # a ring of links, a name too long, a folder that is closed to us
        why = getattr(error, "strerror", None) or error
        raise DataFileError(f"{path}: cannot be looked at ({why}). Check the name and its rights.") from None
    if stat.S_ISDIR(about.st_mode):
        if is_data(path):
            return
        raise DataFileError(f"{path}: is a folder, a data file was expected{_inside(path)}. Name one file.")
    if not stat.S_ISREG(about.st_mode):
        raise DataFileError(f"{path}: is no regular file but a pipe, socket or device; name a file of data.")
    if about.st_size == 0:
        raise DataFileError(f"{path}: is empty (0 bytes), expected {known_formats()}. Copy or download it again.")


def refuse_archive(path: Path) -> None:
    """Refuse an archive where an array is to be read: no format looks inside.

    Raises:
        DataFileError: it is one; the command that unpacks it is told.
    """
    if path.suffix.lower() != ".npz" and os.path.isfile(path) and (archive := archive_of(path)):
        kind, command = archive
        names = rasters_in(path) or members(path)
        held = f" with {some(names, 5)}" if names else ""
        raise DataFileError(f"{path}: is a {kind}{held}, a data file was expected. Unpack it ({command}) and name one.")


def _missing(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"the folder {path.parent} does not exist either"
    with suppress(OSError):
        if close := nearest(path.name, (p.name for p in path.parent.iterdir())):
            return f"did you mean {close}?"
    return f"check the spelling; {path.parent} exists"


def _inside(path: Path) -> str:
    try:
        names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())[:5]
    except OSError:
        return ""
    return f"; it holds {', '.join(names)}" if names else "; it is empty"
