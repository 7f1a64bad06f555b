"""HDF5: files of named arrays (NetCDF 4 among them), read by window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.io.formats.array import (
    ArrayEntry,
    Choice,
    FileArray,
    Format,
    by_suffix,
    choose_key,
    companions,
    last_part,
    listed_centres,
    number_of,
    reading,
    text_of,
)
from hyperseg.io.formats.axes import COLUMN_NAMES, ROW_NAMES, axes_of, fill_of, grid_from
from hyperseg.io.formats.windows import LazyCube, StoredWindows

# HDF5's own 1 MiB would decompress the same chunks again for every row of a cube
CHUNK_CACHE_BYTES = 128 * 2**20
MAGIC = b"\x89HDF\r\n\x1a\n"
# a user block of these sizes may come first; MATLAB's has 512 bytes
STARTS = (0, 512, 1024, 2048)
SUFFIXES = (".h5", ".hdf5", ".he5", ".nc")
# groups within groups and objects beyond these are not looked at: a file that has them is no scene
DEEPEST, MOST_OBJECTS = 24, 5_000
# cubes of PRISMA, of level 1 too, lie as their sensor swept them: rows, bands, columns
SWEPT = re.compile(r"HDFEOS/SWATHS/PRS_L\w+/Data Fields/(VNIR|SWIR)_Cube")


def open_hdf5(path: Path, choice: Choice, *, reverse: bool = False) -> FileArray:
    """One dataset of an HDF5 file, lazily, by its path inside; `reverse` for MATLAB, which stores axes in reverse.

    Names of its axes (netCDF's dimensions) tell the bands, a CF grid mapping the place, `scale_factor` the scale.
    """
    with reading(path, "HDF5"):
        if not is_hdf5(path):
            with path.open("rb") as file:
                start = file.read(4)
            hint = "classic netCDF, convert it with nccopy -k nc4" if start[:3] == b"CDF" else "no HDF5"
            raise DataFileError(f"{path}: its first bytes are {start!r}: {hint}. Expected HDF5.")
        with opened(path) as file:
            entries = hdf5_arrays(path, reverse=reverse)
            chosen = choose_key(path, entries, choice)
            dataset = file[chosen]
            order, known = _order(dataset, chosen, reverse=reverse)
            cube = LazyCube(StoredWindows(path, "HDF5", partial(_dataset, path, chosen), dataset), order)
            centres, bbl = companions(entries, file, cube.shape, lambda key: file[key].attrs.get("units"))
            attributes = dict(dataset.attrs)
            return FileArray(
                cube,
                path,
                chosen,
                axes_known=known,
                centres=centres or listed_centres(attributes, cube.shape),
                bbl=bbl,
                nodata=fill_of(attributes),
                grid=_grid(file, chosen, attributes, cube.shape),
                scale=_scale(attributes),
                about="HDF5",
                in_chunks=True,
            )


def hdf5_arrays(path: Path, *, reverse: bool = False) -> dict[str, ArrayEntry]:
    """Every numeric dataset of an HDF5 file by its path inside; `reverse` as in `open_hdf5`."""
    with reading(path, "HDF5"):
        about = path.stat()
        found = _datasets(path, (about.st_mtime_ns, about.st_size, about.st_ino))
    return {k: ArrayEntry(e.shape[::-1], e.dtype) if reverse else e for k, e in found.items()}


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


@lru_cache(maxsize=8)  # a file is asked several times while a scene of it is opened
def _datasets(path: Path, state: tuple[int, ...]) -> Mapping[str, ArrayEntry]:
    """Numeric datasets by their paths, of a file in this state; see `_walk`."""
    with opened(path) as file:
        return _walk(file)


def _walk(file: Any) -> dict[str, ArrayEntry]:
    """Numeric datasets by their paths; links to elsewhere are not followed, and no group is entered twice."""
    import h5py

    found: dict[str, ArrayEntry] = {}
    waiting: list[tuple[Any, str, int]] = [(file, "", 0)]
    seen: set[tuple[int, int]] = set()
    while waiting:
        group, inside, depth = waiting.pop(0)
        for name in group:
            if len(seen) >= MOST_OBJECTS:
                return found
            if group.get(name, getlink=True).__class__ is not h5py.HardLink or name.startswith("#"):
                continue
            node = group[name]
            about = h5py.h5o.get_info(node.id)
            if isinstance(node, h5py.Group) and depth < DEEPEST and (about.fileno, about.addr) not in seen:
                waiting.append((node, f"{inside}{name}/", depth + 1))
            seen.add((about.fileno, about.addr))
            if not isinstance(node, h5py.Dataset) or "MATLAB_empty" in node.attrs:
                continue
            if node.dtype.kind in "biuf" and node.shape:
                found[inside + name] = ArrayEntry(tuple(node.shape), node.dtype)
    return dict(sorted(found.items()))


def _order(dataset: Any, key: str, *, reverse: bool) -> tuple[tuple[int, ...], bool]:
    """The order of its axes that a cube is to have, and whether the bands are known to be last then."""
    plain = tuple(range(dataset.ndim))
    if reverse:
        return plain[::-1], False
    if dataset.ndim == 3 and SWEPT.fullmatch(key):
        return (0, 2, 1), True
    names = [axis.label or (last_part(axis[0].name or "") if len(axis) else "") for axis in dataset.dims]
    order = axes_of(names) if all(names) else None
    return (plain, False) if order is None else (order, True)


def _grid(file: Any, key: str, attributes: Mapping[str, Any], shape: tuple[int, ...]) -> Grid:
    """From netCDF's coordinate variables and grid mapping, which lie in the group of the array or above it."""

    def beside(name: str) -> Any:
        inside = key.rpartition("/")[0]
        while inside and f"{inside}/{name}" not in file:
            inside = inside.rpartition("/")[0]
        return file.get(f"{inside}/{name}".strip("/"))

    def coordinate(known: tuple[str, ...], length: int) -> tuple[str, NDArray[Any] | None]:
        found = ((name, beside(name)) for name in known)
        return next(((name, v[()]) for name, v in found if getattr(v, "shape", None) == (length,)), ("", None))

    if len(shape) < 2:
        return Grid()
    mapping = beside(text_of(attributes.get("grid_mapping")) or "spatial_ref")
    told = dict(attributes) | (dict(mapping.attrs) if mapping is not None else {})
    (across, x), (_, y) = coordinate(COLUMN_NAMES, shape[1]), coordinate(ROW_NAMES, shape[0])
    if mapping is None and across in ("lon", "longitude"):
        told = {"grid_mapping_name": "latitude_longitude", **told}
    return grid_from(x, y, {name: text_of(v) if np.size(v) == 1 else v for name, v in told.items()})


def _scale(attributes: Mapping[str, Any]) -> float | None:
    """From CF's scale (reflectance = value x scale_factor), where there is no offset."""
    factor = number_of(attributes.get("scale_factor"))
    if factor is None or not 0 < factor < 1 or number_of(attributes.get("add_offset")):
        return None
    return round(1 / factor, 6)


HDF5 = Format("HDF5", SUFFIXES, by_suffix(*SUFFIXES), open_hdf5, hdf5_arrays)
