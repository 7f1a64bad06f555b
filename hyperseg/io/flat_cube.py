"""Cubes stored flat: a matrix of bands and pixels, the number of rows and columns beside it (unmixing scenes)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import ArrayEntry, Choice, FileArray, check_fits, last_part

log = logging.getLogger(__name__)

ROWS = ("nrow", "nrows", "rows", "row", "h", "height", "lines", "nlines", "m")
COLUMNS = ("ncol", "ncols", "cols", "col", "columns", "w", "width", "samples", "nsamples", "n")
SIZES = ("size", "imsize", "imgsize", "sz", "dims", "shape")
LONG = 10  # a matrix that is so many times longer than wide is no picture
BANDS_COMPARED = 16


def unfolded(
    path: Path, choice: Choice, entries: Mapping[str, ArrayEntry], open_array: Callable[[Choice], FileArray]
) -> FileArray:
    """The array that `open_array` gives for the choice, or, where a cube is wanted and there is a flat one, that cube.

    Raises:
        DataFileError: the only arrays that may be meant are flat, and the size is not beside them.
    """
    numeric = {k: e for k, e in entries.items() if e.dtype.kind in "biuf"}
    flat = {k: e for k, e in numeric.items() if len(e.shape) == 2 and min(e.shape) > 1}
    if choice.ndim != 3 or any(len(e.shape) == 3 for e in numeric.values()) or not flat:
        return open_array(choice)
    size = _size_beside(numeric, open_array)
    fits = {k: e for k, e in flat.items() if size is not None and size[0] * size[1] in e.shape}
    if choice.key is not None:
        fits = {k: e for k, e in fits.items() if k == choice.key}
    if size is None or not fits:
        long = [k for k, e in flat.items() if max(e.shape) >= LONG * min(e.shape) and choice.key in (None, k)]
        if not long:
            return open_array(choice)
        told = f"rows x columns = {size[0]} x {size[1]} beside it do not make its pixels" if size else (
            "its rows and columns are not beside it"
        )  # fmt: skip
        raise DataFileError(
            f"{path}: holds no cube; {long[0]} ({flat[long[0]]}) may be one stored flat (bands x pixels), but {told}. "
            "Save them as nRow and nCol in the same file, or reshape the array to rows x columns x bands."
        )
    key = max(fits, key=lambda k: min(fits[k].shape))
    check_fits(path, fits[key])
    file = open_array(replace(choice, key=key, ndim=None))
    cube, order = _unfold(np.asarray(file.array[...]), *size)
    log.info("%s: %s (%s) is a cube stored flat; unfolded %s into %d x %d pixels", path, key, fits[key], order, *size)
    return replace(file, array=cube, axes_known=True)


def _size_beside(
    entries: Mapping[str, ArrayEntry], open_array: Callable[[Choice], FileArray]
) -> tuple[int, int] | None:
    found: dict[str, int] = {}
    for key, entry in entries.items():
        name, count = last_part(key).lower(), int(np.prod(entry.shape))
        if (count == 1 and name in ROWS + COLUMNS) or (2 <= count <= 3 and name in SIZES):
            values = np.ravel(open_array(Choice(key)).array[...]).astype(np.float64)
            if not np.isfinite(values).all() or values.min() < 1 or (values % 1).any():
                continue
            if name in SIZES:
                found |= {"rows": int(values[0]), "columns": int(values[1])}
            else:
                found["rows" if name in ROWS else "columns"] = int(values[0])
    return (found["rows"], found["columns"]) if len(found) == 2 else None


def _unfold(matrix: NDArray[Any], rows: int, columns: int) -> tuple[NDArray[Any], str]:
    """(rows, columns, bands), and in which order the pixels stood: the one that makes the smoother picture."""
    pixels = matrix.T if matrix.shape[1] == rows * columns else matrix  # (pixels, bands)
    by_column = pixels.reshape(columns, rows, -1).transpose(1, 0, 2)
    by_row = pixels.reshape(rows, columns, -1)
    if _roughness(by_row) < 0.95 * _roughness(by_column):
        return by_row, "row by row"
    return by_column, "column by column"  # as MATLAB does


def _roughness(cube: NDArray[Any]) -> float:
    few = cube[..., :: max(1, cube.shape[-1] // BANDS_COMPARED)].astype(np.float64)
    steps = [np.abs(np.diff(few, axis=axis)) for axis in (0, 1) if few.shape[axis] > 1]
    return float(sum(np.nanmean(step) for step in steps))
