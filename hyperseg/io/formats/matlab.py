"""MATLAB: .mat files of version 4 to 7, read at once, and of version 7.3, which are HDF5 and stay lazy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import ArrayEntry, Choice, FileArray, Format, by_suffix, choose_key, companions, reading
from hyperseg.io.formats.hdf5 import hdf5_arrays, is_hdf5, open_hdf5


def open_mat(path: Path, choice: Choice) -> FileArray:
    """One array of a .mat file; v7.3 is HDF5 with reversed axes and stays lazy."""
    if is_hdf5(path):
        return replace(open_hdf5(path, choice, reverse=True), about="MATLAB (v7.3)")
    from scipy.io import loadmat

    with reading(path, "a MATLAB file"):
        entries = mat_arrays(path)
        if not entries:
            raise DataFileError(
                f"{path}: is a MATLAB file without a variable, an array was expected. "
                "It may be truncated: copy or download it again."
            )
        chosen = choose_key(path, entries, choice)
        small = [k for k, e in entries.items() if e.dtype.kind in "biuf" and max(e.shape) == np.prod(e.shape)]
        loaded = loadmat(path, variable_names=[chosen, *small])
        array = loaded[chosen]
        wavelengths, bbl = companions({k: entries[k] for k in small}, loaded, array.shape)
    return FileArray(array, path, chosen, wavelengths_nm=wavelengths, bbl=bbl, about="MATLAB (to v7)")


def mat_arrays(path: Path) -> dict[str, ArrayEntry]:
    """Every array of a .mat file of any version, nothing read but headers."""
    if is_hdf5(path):
        return hdf5_arrays(path, reverse=True)
    from scipy.io import whosmat

    with reading(path, "a MATLAB file"):
        return {name: ArrayEntry(tuple(dims), _dtype(kind)) for name, dims, kind in whosmat(path)}


def _dtype(kind: str) -> np.dtype[Any]:
    names = {"double": "f8", "single": "f4", "logical": "?"}
    if kind in names:
        return np.dtype(names[kind])
    return np.dtype(kind) if kind.startswith(("int", "uint")) else np.dtype(object)


MATLAB = Format("MATLAB", (".mat",), by_suffix(".mat"), open_mat, mat_arrays)
