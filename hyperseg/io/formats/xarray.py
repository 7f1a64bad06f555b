"""xarray's DataArray and Dataset as cubes, known by what they can do: the package itself is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid, SceneError
from hyperseg.io.formats.array import BBL_NAMES, ArrayEntry, Choice, FileArray, choose_key, listed_centres, text_of
from hyperseg.io.formats.axes import COLUMN_NAMES, ROW_NAMES, axes_of, fill_of, grid_from
from hyperseg.io.formats.windows import LazyCube, Window
from hyperseg.io.wavelengths import Centres


class LabelledArray(Protocol):
    """What is asked of an xarray.DataArray."""

    @property
    def dims(self) -> tuple[Any, ...]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def coords(self) -> Any: ...

    @property
    def attrs(self) -> Any: ...

    def __getitem__(self, key: Any) -> Any: ...


def is_labelled(thing: Any) -> bool:
    """True for a DataArray or a Dataset."""
    return hasattr(thing, "dims") and hasattr(thing, "coords") and hasattr(thing, "attrs")


def open_labelled(thing: Any, *, key: str | None, ndim: int | None) -> FileArray:
    """A DataArray, or one variable of a Dataset, as a lazy array; whatever computes it (Dask too) is asked by window.

    The band axis is known by its name ("band", "wavelength", ...), or by a coordinate of wavelengths along it.

    Raises:
        DataFileError: a Dataset with more than one variable that fits, and no `key`.
        SceneError: no axis is known to hold the bands, or complex numbers.
    """
    name = str(getattr(thing, "name", None) or key or "DataArray")
    if hasattr(thing, "data_vars"):
        name = "Dataset"
        entries = {str(k): ArrayEntry(tuple(v.shape), np.dtype(v.dtype)) for k, v in thing.data_vars.items() if v.shape}
        key = choose_key(Path(name), entries, Choice(key, ndim))
        thing = thing[key]
    elif key is not None:
        raise DataFileError(f"{name}: a DataArray is one array and has no names; leave out key={key!r}.")
    array: LabelledArray = thing
    dtype = np.dtype(array.dtype)
    if dtype.kind not in "biuf":
        raise SceneError(f"{name}: holds {dtype} values, real numbers were expected; convert the array.")
    order = _axes(array, name)
    band = None if len(order) < 3 else array.dims[order[2]]
    centres, good = (None, None) if band is None else _along(array, band, array.shape[order[2]])
    scale = array.attrs.get("reflectance_scale_factor")
    return FileArray(
        LazyCube(LabelledWindows(array), order),
        Path(name),
        key,
        axes_known=True,
        centres=centres,
        bbl=good,
        nodata=fill_of(dict(array.attrs)),
        grid=_grid(array, order),
        scale=float(scale) if isinstance(scale, int | float) and scale > 0 else None,
        about="xarray",
    )


class LabelledWindows:
    """Windows of a DataArray in its own axis order; as safe in threads and pickles as the array itself is."""

    def __init__(self, array: LabelledArray) -> None:
        self.array = array
        self.shape = tuple(int(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)
        sizes = getattr(array, "chunks", None)
        self.tile = None if sizes is None else tuple(int(s[0]) for s in sizes)

    def read(self, window: Window) -> NDArray[Any]:
        return np.asarray(self.array[tuple(slice(a, b) for a, b in window)].values)


def _axes(array: LabelledArray, name: str) -> tuple[int, ...]:
    known = axes_of(array.dims)
    if known is not None:
        return known
    if len(array.shape) == 3:
        lit = [i for i, dim in enumerate(array.dims) if _along(array, dim, array.shape[i])[0] is not None]
        if len(lit) == 1:
            return (*(i for i in range(3) if i != lit[0]), lit[0])
    raise SceneError(
        f"{name}: has the axes {', '.join(map(str, array.dims))} of shape {tuple(array.shape)}; expected rows, "
        "columns and one called band or wavelength. Rename it: array.rename(NAME='band')."
    )


def _along(array: LabelledArray, dim: Any, length: int) -> tuple[Centres | None, NDArray[np.bool_] | None]:
    """Centres and good bands of bands among the coordinates along an axis, or in a list of the attributes."""
    centres, good = None, None
    for key, coordinate in array.coords.items():
        text = str(key).lower()
        if tuple(coordinate.dims) != (dim,) or np.dtype(coordinate.dtype).kind not in "biuf":
            continue
        if text.startswith(("wave", "wl", "lambda", "central_wave")) and centres is None:
            centres = Centres(np.asarray(coordinate.values, np.float64), text_of(coordinate.attrs.get("units")))
        elif text in BBL_NAMES and good is None:
            good = np.asarray(coordinate.values) > 0
    return centres or listed_centres(array.attrs, (length,)), good


def _grid(array: LabelledArray, order: tuple[int, ...]) -> Grid:
    """From the coordinates and CF's grid mapping, which is also where rioxarray keeps what `.rio` tells."""

    def coordinate(axis: int, known: tuple[str, ...]) -> NDArray[Any] | None:
        name = array.dims[order[axis]]
        if str(name).lower() not in known or name not in array.coords:
            return None
        return np.asarray(array.coords[name].values)

    x, y = coordinate(1, COLUMN_NAMES), coordinate(0, ROW_NAMES)
    attributes = dict(array.attrs)
    mapping = getattr(array, "encoding", {}).get("grid_mapping", attributes.get("grid_mapping", "spatial_ref"))
    if mapping in array.coords:
        attributes |= dict(array.coords[mapping].attrs)
    rio = getattr(array, "rio", None)
    if rio is not None and rio.crs is not None:
        attributes["crs_wkt"] = rio.crs.to_wkt()
    if x is not None and y is not None:
        attributes.pop("GeoTransform", None)  # a slice of an array keeps the whole one's
    return grid_from(x, y, attributes)
