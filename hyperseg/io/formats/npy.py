"""NumPy: the array of a .npy file as a memory map, one array of a .npz archive."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.flat_cube import unfolded
from hyperseg.io.formats.array import (
    ArrayEntry,
    Choice,
    FileArray,
    Format,
    by_suffix,
    check_fits,
    choose_key,
    companions,
    reading,
)


def open_numpy(path: Path, choice: Choice) -> FileArray:
    """The array of a .npy file as a memory map; of a .npz file the one wanted, read with its short companions alone."""
    if not _is_archive(path):
        if choice.key is not None:
            raise DataFileError(f"{path}: a .npy file holds one array and no names; leave out {choice.key!r}.")
        with reading(path, "a NumPy .npy file"):
            with path.open("rb") as file:
                entry = _entry(file)
                needed = file.tell() + math.prod(entry.shape) * entry.dtype.itemsize
            if entry.dtype.kind in "biufc" and needed > path.stat().st_size:
                raise DataFileError(
                    f"{path}: has {path.stat().st_size} bytes, but says to hold {entry}, which are {needed}. It is "
                    "truncated: copy it again."
                )
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype.kind not in "biuf":
            raise DataFileError(f"{path}: holds {array.dtype} values, real numbers were expected; convert the array.")
        return FileArray(array, path, about="NumPy")
    return unfolded(path, choice, numpy_arrays(path), lambda wanted: _from_archive(path, wanted))


def _from_archive(path: Path, choice: Choice) -> FileArray:
    # opened here, because numpy leaves a broken archive open
    with reading(path, "a NumPy .npz file"), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        entries = numpy_arrays(path)
        chosen = choose_key(path, entries, choice)
        check_fits(path, entries[chosen])
        array = arrays[chosen]
        centres, bbl = companions(entries, arrays, array.shape)
    return FileArray(array, path, chosen, centres=centres, bbl=bbl, about="NumPy archive")


def numpy_arrays(path: Path) -> dict[str, ArrayEntry]:
    """Every array of a .npz file, only headers read; nothing of a .npy file, which is one array."""
    if not _is_archive(path):
        return {}
    entries: dict[str, ArrayEntry] = {}
    with reading(path, "a NumPy .npz file"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                entries[name.removesuffix(".npy")] = _entry(stream)
    return entries


def _entry(stream: Any) -> ArrayEntry:
    """Shape and type from the header of a .npy file, of which nothing else is read."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    return ArrayEntry(tuple(int(n) for n in shape), dtype)


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


SUFFIXES = (".npy", ".npz")
NUMPY = Format("NumPy", SUFFIXES, by_suffix(*SUFFIXES), open_numpy, numpy_arrays)
