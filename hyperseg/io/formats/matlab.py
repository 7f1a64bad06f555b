"""MATLAB: .mat files of version 4 to 7, read at once, and of version 7.3, which are HDF5 and stay lazy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
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
from hyperseg.io.formats.hdf5 import hdf5_arrays, is_hdf5, open_hdf5
from hyperseg.io.mat_elements import check_elements, state_of

DEEPEST = 8  # structs within structs


def open_mat(path: Path, choice: Choice) -> FileArray:
    """One array of a .mat file; v7.3 is HDF5 with reversed axes and stays lazy.

    Arrays in structs are named as in MATLAB (hsi.Data). Where there is no cube but a matrix of bands x pixels with
    the number of rows and columns beside it, that is the cube.
    """
    if is_hdf5(path):
        return unfolded(path, choice, hdf5_arrays(path, reverse=True), lambda c: _lazy(path, c))
    return unfolded(path, choice, mat_arrays(path), lambda c: _loaded(path, c))


def mat_arrays(path: Path) -> dict[str, ArrayEntry]:
    """Every array of a .mat file of any version; only headers are read, but for structs, which have to be read."""
    if is_hdf5(path):
        return hdf5_arrays(path, reverse=True)
    with reading(path, "a MATLAB file"):
        check_elements(path, state_of(path))
        kinds = _variables(path)
        entries = {n: ArrayEntry(dims, _dtype(kind)) for n, (dims, kind) in kinds.items() if kind != "struct"}
        inside = _structs(path, [name for name, (_, kind) in kinds.items() if kind == "struct"])
        return entries | {name: ArrayEntry(array.shape, array.dtype) for name, array in inside.items()}


def _lazy(path: Path, choice: Choice) -> FileArray:
    return replace(open_hdf5(path, choice, reverse=True), about="MATLAB (v7.3)")


def _loaded(path: Path, choice: Choice) -> FileArray:
    from scipy.io import loadmat

    with reading(path, "a MATLAB file"):
        entries = mat_arrays(path)
        if not entries:
            raise DataFileError(
                f"{path}: is a MATLAB file without a variable, an array was expected. "
                "It may be truncated: copy or download it again."
            )
        chosen = choose_key(path, entries, choice)
        check_fits(path, entries[chosen])
        kinds = _variables(path)
        small = [k for k, e in entries.items() if e.dtype.kind in "biuf" and max(e.shape) == np.prod(e.shape)]
        loaded: Mapping[str, Any] = loadmat(path, variable_names=[n for n in (chosen, *small) if n in kinds])
        if chosen not in kinds or any(name not in kinds for name in small):
            loaded = {**loaded, **_structs(path, [name for name, (_, kind) in kinds.items() if kind == "struct"])}
        array = loaded[chosen]
        centres, bbl = companions({k: entries[k] for k in small}, loaded, array.shape)
    return FileArray(array, path, chosen, centres=centres, bbl=bbl, about="MATLAB (to v7)")


def _variables(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    from scipy.io import whosmat

    return {name: (tuple(dims), kind) for name, dims, kind in whosmat(path)}


def _structs(path: Path, names: list[str]) -> dict[str, Any]:
    """Numeric arrays inside structs, by their names with dots."""
    from scipy.io import loadmat

    if not names:
        return {}
    loaded = loadmat(path, variable_names=names)
    return {key: array for name in names for key, array in _inside(loaded[name], name, DEEPEST)}


def _inside(value: Any, name: str, deeper: int) -> Iterator[tuple[str, Any]]:
    """Numeric arrays of a struct; arrays of structs and cells are left out: nobody could name what is in them."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is None:
        if value.dtype.kind in "biuf" and value.size:
            yield name, value
    elif value.size == 1 and deeper:
        for field in value.dtype.names:
            yield from _inside(value.ravel()[0][field], f"{name}.{field}", deeper - 1)


def _dtype(kind: str) -> np.dtype[Any]:
    names = {"double": "f8", "single": "f4", "logical": "?"}
    if kind in names:
        return np.dtype(names[kind])
    return np.dtype(kind) if kind.startswith(("int", "uint")) else np.dtype(object)


MATLAB = Format("MATLAB", (".mat",), by_suffix(".mat"), open_mat, mat_arrays)
