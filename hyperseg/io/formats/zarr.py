"""Zarr stores, version 2 and 3: folders of chunks, read chunk by chunk."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import (
    ArrayEntry,
    Choice,
    FileArray,
    Format,
    choose_key,
    companions,
    listed_centres,
    reading,
)
from hyperseg.io.formats.axes import COLUMN_NAMES, ROW_NAMES, axes_of, fill_of, grid_from
from hyperseg.io.formats.windows import LazyCube, StoredWindows

DEEPEST = 24  # groups within groups
MARKS = ("zarr.json", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """True for a folder that is a Zarr array or group, version 2 or 3."""
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def open_zarr(path: Path, choice: Choice) -> FileArray:
    """One array of a Zarr store, lazily, by its path inside; names of axes as xarray writes them tell the bands."""
    root = _opened(path)
    with reading(path, "a Zarr store"):
        arrays = _arrays(root)
        entries = {name: ArrayEntry(tuple(a.shape), np.dtype(a.dtype)) for name, a in arrays.items()}
        if list(arrays) == [""]:
            if choice.key is not None:
                raise DataFileError(f"{path}: is one Zarr array and no names; leave out {choice.key!r}.")
            chosen = ""
        else:
            chosen = choose_key(path, entries, choice)
        array = arrays[chosen]
        names = _axis_names(array)
        order = None if names is None else axes_of(names)
        reader = StoredWindows(path, "a Zarr store", partial(_array, path, chosen), array)
        cube = LazyCube(reader, order or tuple(range(len(array.shape))))
        beside = {k: arrays[k] for k, e in entries.items() if k != chosen and len(e.shape) == 1}
        centres, bbl = companions(
            {k: entries[k] for k in beside}, beside, cube.shape, lambda k: beside[k].attrs.get("units")
        )
        centres = centres or listed_centres(array.attrs, cube.shape)
        x, y = (_coordinate(beside, known) for known in (COLUMN_NAMES, ROW_NAMES))
        scale = array.attrs.get("reflectance_scale_factor")
        return FileArray(
            cube,
            path,
            chosen or None,
            axes_known=order is not None,
            centres=centres,
            bbl=bbl,
            nodata=fill_of(dict(array.attrs)),
            grid=grid_from(x, y, _mapping(root, chosen, array)),
            scale=float(scale) if isinstance(scale, int | float) and scale > 0 else None,
            about=f"Zarr version {array.metadata.zarr_format}",
            in_chunks=True,
        )


def zarr_arrays(path: Path) -> dict[str, ArrayEntry]:
    """Every array of a Zarr store by its path inside; empty where the store is one array."""
    root = _opened(path)
    with reading(path, "a Zarr store"):
        found = _arrays(root)
        return {k: ArrayEntry(tuple(a.shape), np.dtype(a.dtype)) for k, a in found.items() if k}


def _opened(path: Path) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise DataFileError(
            f"{path}: reading Zarr needs the package zarr, which is not installed: "
            'pip install "hyperseg[cluster]", or convert the store to GeoTIFF or .npy.'
        ) from error
    with reading(path, "a Zarr store"):
        return zarr.open(str(path), mode="r")


def _array(path: Path, key: str) -> Any:
    root = _opened(path)
    return root[key] if key else root


def _arrays(root: Any) -> dict[str, Any]:
    if hasattr(root, "chunks"):
        return {"": root}
    found: dict[str, Any] = {}

    def collect(group: Any, inside: str, deeper: int) -> None:
        for name, array in sorted(group.arrays(), key=lambda pair: str(pair[0])):
            if array.shape:
                found[inside + name] = array
        for name, child in sorted(group.groups(), key=lambda pair: str(pair[0])):
            if deeper:
                collect(child, f"{inside}{name}/", deeper - 1)

    collect(root, "", DEEPEST)
    return found


def _axis_names(array: Any) -> list[str] | None:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return None if names is None or any(name is None for name in names) else [str(name) for name in names]


def _coordinate(beside: dict[str, Any], known: tuple[str, ...]) -> NDArray[Any] | None:
    for key, array in beside.items():
        if key.rsplit("/", 1)[-1].lower() in known:
            return np.asarray(array[...])
    return None


def _mapping(root: Any, key: str, array: Any) -> dict[str, Any]:
    """Attributes of the array and, over them, of its grid mapping: a scalar called spatial_ref as a rule."""
    name = key.rpartition("/")[0] + "/" + str(array.attrs.get("grid_mapping", "spatial_ref"))
    found = root.get(name.strip("/")) if key else None
    return dict(array.attrs) | (dict(found.attrs) if found is not None else {})


ZARR = Format("Zarr", (".zarr",), is_zarr, open_zarr, zarr_arrays)
