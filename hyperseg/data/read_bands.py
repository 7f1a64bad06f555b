"""Which bands and which pixels of a cube hold data, found by reading blocks of rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, SceneError

log = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 2**20
FULL_SCAN_BYTES = 512 * 2**20
# a band missing at more of the sampled pixels than this is dropped; below it, the few pixels are
MISSING_SHARE = 0.01


def find_bad_bands(
    cube: Cube,
    valid: NDArray[np.bool_] | None = None,
    *,
    bbl: NDArray[np.bool_] | None = None,
    nodata: float | None = None,
    max_pixels: int = 20000,
    name: str = "cube",
) -> tuple[NDArray[np.bool_], list[str]]:
    """Bands that carry no information on a regular subsample of the pixels.

    A band is bad where the file says so, where more than 1 % of the sampled pixels that hold any data
    are NaN, infinite or no-data in it, and where it is constant (a dead detector, or no-data throughout).

    Args:
        cube: (H, W, C), lazy or not; whole rows are read, evenly spaced, the first and the last among them.
        valid: (H, W) bool, pixels to look at; or None for all.
        bbl: (C,) bool, the file's own list of good bands, or None.
        nodata: value that stands for "no data", or None.
        max_pixels: about how many pixels to look at.
        name: what to call the cube in messages.

    Returns:
        good (C,) bool and, for the reader, one sentence per reason with the bands (counted from 0).

    Raises:
        SceneError: no band is left.
    """
    bands = int(cube.shape[-1])
    low, high = np.full(bands, np.inf), np.full(bands, -np.inf)
    missing, seen = np.zeros(bands, np.int64), 0
    for pixels in _sampled(cube, valid, max_pixels):
        empty = _missing(pixels, nodata)
        held = ~empty.all(-1)
        pixels, empty = pixels[held], empty[held]
        seen += len(pixels)
        missing += empty.sum(0)
        if len(pixels):
            low = np.minimum(low, np.where(empty, np.inf, pixels).min(0))
            high = np.maximum(high, np.where(empty, -np.inf, pixels).max(0))
    if seen == 0:
        raise SceneError(
            f"{name}: holds no data: every sampled pixel is NaN, infinite or no-data in every band. "
            "Check the file and its no-data value."
        )
    marked = np.zeros(bands, bool) if bbl is None else ~bbl
    gaps = missing > MISSING_SHARE * seen
    constant = (low >= high) & (seen > 1)
    reasons = [
        f"{_ranges(which)} {why}"
        for which, why in (
            (marked, "marked bad in the file"),
            (gaps, "NaN, infinite or no-data at pixels that hold data in other bands"),
            (constant & ~gaps, "constant"),
        )
        if which.any()
    ]
    good = ~(marked | gaps | constant)
    if not good.any():
        raise SceneError(
            f"{name}: no usable band of {bands}: {'; '.join(reasons)}. Check the file and its no-data."
        )
    return good, reasons


def find_valid(
    cube: Cube, *, good: NDArray[np.bool_], nodata: float | None, name: str = "scene"
) -> NDArray[np.bool_] | None:
    """(H, W) bool: pixels that hold data, or None where all do.

    A pixel is out where all good bands are no-data, or where any good band is NaN or infinite: a network
    would turn one such value into a map of them. Cubes above 512 MiB are judged by their first good band.
    """
    rows, columns, bands = cube.shape
    dtype = np.dtype(cube.dtype)
    if dtype.kind != "f" and (nodata is None or not _holds(dtype, nodata)):
        return None
    chosen = np.flatnonzero(good)
    if rows * columns * bands * dtype.itemsize > FULL_SCAN_BYTES:
        log.warning("%s: large cube; its no-data pixels are found in band %d alone", name, chosen[0])
        chosen = chosen[:1]
    valid = np.empty((rows, columns), bool)
    step = max(1, BLOCK_BYTES // max(1, columns * bands * dtype.itemsize))
    first, last = int(chosen[0]), int(chosen[-1]) + 1
    for start in range(0, rows, step):
        block = np.asarray(cube[start : start + step, :, first:last])[..., chosen - first]
        inside = ~_missing(block, nodata).all(-1)
        if dtype.kind == "f":
            inside &= np.isfinite(block).all(-1)
        valid[start : start + step] = inside
    return None if valid.all() else valid


def _sampled(cube: Cube, valid: NDArray[np.bool_] | None, max_pixels: int) -> Iterator[NDArray[np.generic]]:
    """(n, C) pixels of evenly spaced rows; the last row too, so that a truncated file shows early."""
    rows, columns = cube.shape[:2]
    # few rows of a very wide raster still have to see the whole height
    count = min(rows, max(16, max_pixels // max(1, columns)))
    skip = max(1, count * columns // max(1, max_pixels))
    for row in np.unique(np.linspace(0, rows - 1, count).astype(int)):
        pixels = np.asarray(cube[int(row) : int(row) + 1, ::skip])[0]
        yield pixels if valid is None else pixels[valid[row, ::skip]]


def _missing(pixels: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    if pixels.dtype.kind == "f":
        absent = ~np.isfinite(pixels)
    else:
        absent = np.zeros(pixels.shape, bool)
    if nodata is not None and _holds(pixels.dtype, nodata):
        absent |= pixels == pixels.dtype.type(nodata)
    return absent


def _holds(dtype: np.dtype[np.generic], value: float) -> bool:
    if dtype.kind == "f":
        return True
    if not np.isfinite(value) or value != int(value) or dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    return bool(limits.min <= value <= limits.max)


def _ranges(which: NDArray[np.bool_]) -> str:
    """Indices as "bands 3, 7-9"."""
    index = np.flatnonzero(which)
    runs = np.split(index, np.flatnonzero(np.diff(index) > 1) + 1)
    text = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)
    return f"{'band' if len(index) == 1 else 'bands'} {text}:"
