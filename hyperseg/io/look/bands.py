"""Which bands and which pixels of a cube hold data, found by reading blocks of rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, SceneError
from hyperseg.core.words import runs

log = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 2**20
FULL_SCAN_BYTES = 512 * 2**20
# a band missing at more of the sampled pixels than this is dropped; below it, the few pixels are
MISSING_SHARE = 0.01
FEWEST_ROWS = 16
# what looking at a file of tiles may decode: one row of tiles before stretches get short, and all in all
TILE_ROW_BYTES, SAMPLE_BYTES = 32 * 2**20, 512 * 2**20
LABEL_ROWS = 64


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
    if nodata is not None and not _holds(np.dtype(cube.dtype), nodata):
        log.warning("%s: its no-data value %g is none of %s; no pixel can have it", name, nodata, cube.dtype)
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
        raise SceneError(f"{name}: no usable band of {bands}: {'; '.join(reasons)}. Check the file and its no-data.")
    return good, reasons


def find_valid(
    cube: Cube, *, good: NDArray[np.bool_], nodata: float | None, name: str = "scene"
) -> NDArray[np.bool_] | None:
    """(H, W) bool: pixels that hold data, or None where all do; as `valid_in`, over the whole cube.

    Cubes above 512 MiB are judged by their first good band.
    """
    rows, columns, bands = cube.shape
    dtype = np.dtype(cube.dtype)
    if not _can_lack(dtype, nodata):
        return None
    chosen = np.flatnonzero(good)
    if rows * columns * bands * dtype.itemsize > FULL_SCAN_BYTES:
        log.warning("%s: large cube; its no-data pixels are found in band %d alone", name, chosen[0])
        chosen = chosen[:1]
    valid = np.empty((rows, columns), bool)
    step = max(1, BLOCK_BYTES // max(1, columns * bands * dtype.itemsize))
    first, last = int(chosen[0]), int(chosen[-1]) + 1
    for start in range(0, rows, step):
        block = np.asarray(cube[start : start + step, :, first:last])
        valid[start : start + step] = valid_in(block[..., chosen - first], nodata=nodata)
    return None if valid.all() else valid


def valid_in(block: NDArray[Any], *, good: NDArray[np.bool_] | None = None, nodata: float | None) -> NDArray[np.bool_]:
    """(h, w) bool: which pixels of a window (h, w, C) hold data; `good` (C,) are the bands that count, None for all.

    A pixel is out where all good bands are no-data, or where any good band is NaN or infinite: a network
    would turn one such value into a map of them.
    """
    if not _can_lack(block.dtype, nodata):
        return np.ones(block.shape[:-1], bool)
    seen = block if good is None or good.all() else block[..., good]
    inside: NDArray[np.bool_] = ~np.asarray(_missing(seen, nodata).all(-1))
    if block.dtype.kind == "f":
        inside &= np.isfinite(seen).all(-1)
    return inside


def without_data(
    labels: NDArray[np.int16], cube: Cube, *, good: NDArray[np.bool_], nodata: float | None
) -> NDArray[np.bool_]:
    """(H, W) bool: labelled pixels (>= 0) that hold no data; only the windows with labels are read."""
    empty = np.zeros(labels.shape, bool)
    rows, _, bands = cube.shape
    dtype = np.dtype(cube.dtype)
    if not _can_lack(dtype, nodata):
        return empty
    step = max(1, BLOCK_BYTES // (LABEL_ROWS * bands * dtype.itemsize))
    for start in range(0, rows, LABEL_ROWS):
        drawn = np.flatnonzero((labels[start : start + LABEL_ROWS] >= 0).any(0)).tolist()
        end = drawn[-1] + 1 if drawn else 0
        for left in range(drawn[0] if drawn else 0, end, step):
            at = np.s_[start : start + LABEL_ROWS, left : min(left + step, end)]
            if (labels[at] >= 0).any():
                empty[at] = (labels[at] >= 0) & ~valid_in(np.asarray(cube[at]), good=good, nodata=nodata)
    return empty


def row_spans(cube: Cube, max_pixels: int) -> Iterator[tuple[int, slice]]:
    """Stretches of rows to look at: spread evenly from the first row to the last, few to read.

    Where a file decodes whole tiles or chunks, a stretch is as wide as one of them and moves across the scene
    from row to row; else it is a whole row, or a sixteenth of `max_pixels` of a very wide one.
    """
    rows, columns, bands = cube.shape
    tile = stored_together(cube)
    pixel = bands * np.dtype(cube.dtype).itemsize
    if tile[0] > 1 and tile[0] * columns * pixel > TILE_ROW_BYTES:
        # as few tiles wide as still give a stretch, as many of them as may be decoded
        width = min(columns, tile[1] * max(1, 64 // tile[1]))
        count = max(FEWEST_ROWS, min(max_pixels // width, SAMPLE_BYTES // (tile[0] * width * pixel)))
    else:
        width = min(columns, max(64, max_pixels // FEWEST_ROWS))
        count = max(FEWEST_ROWS, max_pixels // width)
    count = min(rows, count)
    places = max(1, columns // width)
    for i, row in enumerate(np.unique(np.linspace(0, rows - 1, count).astype(int))):
        # the golden ratio visits all places without a rhythm that a scene could share
        left = int((i * 0.618034) % 1 * places) * width if places > 1 else 0
        yield int(row), slice(left, left + width)


def stored_together(cube: Cube) -> tuple[int, int]:
    """Rows and columns that the file stores together; a single row where it does not say."""
    stored = getattr(getattr(cube, "reader", None), "tile", None)
    if stored is None:
        return 1, int(cube.shape[1])
    axes = cube.axes  # type: ignore[attr-defined]
    return int(stored[axes[0]]), int(stored[axes[1]])


def _sampled(cube: Cube, valid: NDArray[np.bool_] | None, max_pixels: int) -> Iterator[NDArray[np.generic]]:
    """(n, C) pixels of stretches of rows; the last row too, so that a truncated file shows early."""
    rows, columns = cube.shape[:2]
    # few rows of a very wide raster still have to see the whole height
    count = min(rows, max(FEWEST_ROWS, max_pixels // max(1, columns)))
    skip = max(1, count * columns // max(1, max_pixels))
    spans = (
        ((int(row), slice(None, None, skip)) for row in np.unique(np.linspace(0, rows - 1, count).astype(int)))
        if stored_together(cube)[0] == 1
        else row_spans(cube, max_pixels)
    )
    for row, span in spans:
        pixels = np.asarray(cube[row : row + 1, span])[0]
        yield pixels if valid is None else pixels[valid[row, span]]


def _can_lack(dtype: np.dtype[Any], nodata: float | None) -> bool:
    """Whether numbers of this type can be missing at all."""
    return dtype.kind == "f" or (nodata is not None and _holds(dtype, nodata))


def _missing(pixels: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    absent = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
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
    """Indices as "bands 3, 7-9:"."""
    index = np.flatnonzero(which).tolist()
    return f"{'band' if len(index) == 1 else 'bands'} {runs(index)}:"
