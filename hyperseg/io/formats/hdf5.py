"""HDF5: files of named arrays (NetCDF 4 among them), read by window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import (
    ArrayEntry,
    Choice,
    FileArray,
    Format,
    by_suffix,
    choose_key,
    companions,
    reading,
    to_nm,
)
from hyperseg.io.formats.windows import LazyCube, StoredWindows

# HDF5's own 1 MiB would decompress the same chunks again for every row of a cube
CHUNK_CACHE_BYTES = 128 * 2**20
MAGIC = b"\x89HDF\r\n\x1a\n"
# a user block of these sizes may come first; MATLAB's has 512 bytes
STARTS = (0, 512, 1024, 2048)
SUFFIXES = (".h5", ".hdf5", ".he5", ".nc")


def open_hdf5(path: Path, choice: Choice, *, reverse: bool = False) -> FileArray:
    """One dataset of an HDF5 file, lazily, by its path inside; `reverse` for MATLAB, which stores axes in reverse."""
    with reading(path, "HDF5"):
        if not is_hdf5(path):
            with path.open("rb") as file:
                start = file.read(4)
            hint = "classic netCDF, convert it with nccopy -k nc4" if start[:3] == b"CDF" else "no HDF5"
            raise DataFileError(f"{path}: its first bytes are {start!r}: {hint}. Expected HDF5.")
        with opened(path) as file:
            entries = _datasets(file, reverse=reverse)
            chosen = choose_key(path, entries, choice)
            dataset = file[chosen]
            reader = StoredWindows(path, "HDF5", partial(_dataset, path, chosen), dataset)
            axes = tuple(range(dataset.ndim))
            cube = LazyCube(reader, axes[::-1] if reverse else axes)
            short = {k: e for k, e in entries.items() if max(e.shape) == np.prod(e.shape)}
            wavelengths, bbl = companions(short, file, cube.shape)
            nodata = dataset.attrs.get("_FillValue")
            for name in short:
                unit = file[name].attrs.get("units")
                if wavelengths is None:
                    break
                if unit is not None and max(short[name].shape) == len(wavelengths) and "wave" in name.lower():
                    text = unit.decode() if isinstance(unit, bytes) else str(unit)
                    wavelengths = to_nm(np.asarray(file[name][()], np.float64).ravel(), unit=text)
                    break
    fill = None if nodata is None else float(np.asarray(nodata).ravel()[0])
    return FileArray(cube, path, chosen, wavelengths_nm=wavelengths, bbl=bbl, nodata=fill, about="HDF5", in_chunks=True)


def hdf5_arrays(path: Path, *, reverse: bool = False) -> dict[str, ArrayEntry]:
    """Every numeric dataset of an HDF5 file by its path inside; `reverse` as in `open_hdf5`."""
    with reading(path, "HDF5"), opened(path) as file:
        return _datasets(file, reverse=reverse)


def is_hdf5(path: Path) -> bool:
    """True where the HDF5 signature stands at one of the places it may stand."""
    with reading(path, "HDF5"), path.open("rb") as file:
        for start in STARTS:
            file.seek(start)
            if file.read(8) == MAGIC:
                return True
    return False


def opened(path: Path, *, cache_bytes: int | None = None) -> Any:
    """The h5py file, for `with` or to be kept; `cache_bytes` is for chunks of each of its datasets."""
    import h5py

    return h5py.File(path, "r", rdcc_nbytes=cache_bytes)


def inside(holds: Callable[[Any], bool]) -> Callable[[Path], bool]:
    """Recognises HDF5 files by what is in them: `holds` is asked of the opened file."""

    def recognises(path: Path) -> bool:
        try:
            if not HDF5.recognises(path) or not is_hdf5(path):
                return False
            with opened(path) as file:
                return holds(file)
        except Exception:  # whoever opens it says what is wrong with it
            return False

    return recognises


def _dataset(path: Path, key: str) -> Any:
    return opened(path, cache_bytes=CHUNK_CACHE_BYTES)[key]


def _datasets(file: Any, *, reverse: bool) -> dict[str, ArrayEntry]:
    import h5py

    found: dict[str, ArrayEntry] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or name.startswith("#") or "MATLAB_empty" in node.attrs:
            return
        if node.dtype.kind in "biuf" and node.shape:
            found[name] = ArrayEntry(tuple(node.shape[::-1] if reverse else node.shape), node.dtype)

    file.visititems(visit)
    return found


HDF5 = Format("HDF5", SUFFIXES, by_suffix(*SUFFIXES), open_hdf5, hdf5_arrays)
