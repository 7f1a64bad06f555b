"""A sample of a cube's pixels: stretches of rows from all over the scene, its corners among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube

FEWEST_ROWS = 16
CORNER_PX = 64  # of the first and the last row, at both ends
# what looking at a file of tiles may decode: one row of tiles before stretches get short, and all in all
TILE_ROW_BYTES, SAMPLE_BYTES = 32 * 2**20, 512 * 2**20


@dataclass(frozen=True)
class Sample:
    """Pixels of a cube, in reading order within each stretch of a row.

    Attributes:
        shape: (rows, columns) of the scene.
        row, column: (n,) where each pixel lies.
        pixels: (n, C) their values.
    """

    shape: tuple[int, int]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    pixels: NDArray[Any]

    def only(self, which: NDArray[np.bool_]) -> Sample:
        """The pixels that the mask (n,) names."""
        return Sample(self.shape, self.row[which], self.column[which], self.pixels[which])


def take_sample(
    cube: Cube, *, valid: NDArray[np.bool_] | None = None, mask: Cube | None = None, max_pixels: int = 20000
) -> Sample:
    """About `max_pixels` pixels of a cube (H, W, C), lazy or not, and its corners.

    `valid` (H, W) bool and `mask`, the same but lazy, leave pixels out where they are False.
    """
    rows, columns = int(cube.shape[0]), int(cube.shape[1])
    at, seen = [], []
    for row, span in [*row_spans(cube, max_pixels), *_corners(cube, max_pixels)]:
        pixels = np.asarray(cube[row : row + 1, span])[0]
        column = np.arange(span.start, span.start + len(pixels))
        inside = np.ones(len(pixels), bool) if valid is None else valid[row, column]
        if mask is not None:
            inside = inside & np.asarray(mask[row : row + 1, span], bool)[0]
        at.append(np.stack([np.full(len(pixels), row), column])[:, inside])
        seen.append(pixels[inside])
    where = np.concatenate(at, axis=1).astype(np.int64)
    return Sample((rows, columns), where[0], where[1], np.concatenate(seen))


def row_spans(cube: Cube, max_pixels: int) -> Iterator[tuple[int, slice]]:
    """Stretches of rows to look at: spread evenly from the first row to the last, few to read.

    Where a file decodes whole tiles or chunks, a stretch is as wide as one of them and moves across the scene
    from row to row; else it is a whole row, or a sixteenth of `max_pixels` of a very wide one.
    """
    rows, columns, _ = cube.shape
    count, width = _plan(cube, max_pixels)
    places = max(1, columns // width)
    for i, row in enumerate(np.unique(np.linspace(0, rows - 1, count).astype(int))):
        # the golden ratio visits all places without a rhythm that a scene could share
        left = int((i * 0.618034) % 1 * places) * width if places > 1 else 0
        yield int(row), slice(left, min(left + width, columns))


def _plan(cube: Cube, max_pixels: int) -> tuple[int, int]:
    """How many stretches, and how wide."""
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
    return min(rows, count), width


def _corners(cube: Cube, max_pixels: int) -> Iterator[tuple[int, slice]]:
    """Where a border of fill is thickest in a scene that was turned; nothing where whole rows are read anyway."""
    rows, columns, _ = cube.shape
    if _plan(cube, max_pixels)[1] >= columns:
        return
    ends = slice(0, min(CORNER_PX, columns)), slice(max(columns - CORNER_PX, 0), columns)
    yield from ((0, ends[1]), (rows - 1, ends[0]), (rows - 1, ends[1]))


def stored_together(cube: Cube) -> tuple[int, int]:
    """Rows and columns that the file stores together; a single row where it does not say."""
    stored = getattr(getattr(cube, "reader", None), "tile", None)
    if stored is None:
        return 1, int(cube.shape[1])
    axes = cube.axes  # type: ignore[attr-defined]
    return int(stored[axes[0]]), int(stored[axes[1]])
