"""A scene scored window by window: what is kept of it does not grow with it, but for the pixels of a truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, Tile
from hyperseg.engine import ahead
from hyperseg.io.look.valid import valid_at
from hyperseg.recipes.mapping.windows import plan_windows
from hyperseg.recipes.spectra.model import BLOCK_PX, SpectraModel

PICTURE_PX = 900  # longest side of what is kept for pictures
APART_PX = 6  # between two of the strangest pixels: neighbours show one thing twice
Float32 = NDArray[np.float32]
Write = Callable[[Tile, Float32, Float32], None]
"""(window, (h, w) bits per band, (h, w) Reed-Xiaoli distance), NaN without data."""


@dataclass(frozen=True, eq=False)
class Strange:
    """One of the strangest pixels.

    Attributes:
        row, column: where it is.
        bits: per band.
        spectrum: (C,).
    """

    row: int
    column: int
    bits: float
    spectrum: Float32


@dataclass(eq=False)
class Seen:
    """What scoring a scene leaves beside the files.

    Attributes:
        step: between pixels of `thin`.
        thin: (H / step, W / step, 2) bits and distance, for pictures and quantiles.
        top: the strangest pixels, strangest first.
        truth: bits, distance and truth (1 strange, 0 not) of pixels that have one, window by window.
        outlined: (H / step, W / step) bool, strange by the truth, for pictures; None without one.
        pixels: how many hold data.
    """

    step: int
    thin: Float32
    top: list[Strange] = field(default_factory=list)
    truth: list[tuple[Float32, Float32, NDArray[np.int8]]] = field(default_factory=list)
    pixels: int = 0
    outlined: NDArray[np.bool_] | None = None


def score_scene(
    model: SpectraModel, scene: Scene, *, write: Write, truth: NDArray[np.int8] | None = None, n_top: int = 6,
    side: int | None = None, progress: Callable[[int, int], None] | None = None,
) -> Seen:  # fmt: skip
    """Score every pixel with data; the next window is read while one is computed.

    Args:
        model: on the device it computes on.
        scene: with the model's bands; its cube is read window by window.
        write: called with every window.
        truth: (H, W) 1 strange, 0 not, -1 does not count.
        n_top: how many of the strangest pixels are kept.
        side: of a window in pixels; None takes what 128 MiB hold.
        progress: called with (pixels done, pixels in all).
    """
    rows, columns = scene.shape
    step = -(-max(rows, columns) // PICTURE_PX)
    seen = Seen(step, np.full((-(-rows // step), -(-columns // step), 2), np.nan, np.float32))
    if truth is not None:
        seen.outlined = truth[:: seen.step, :: seen.step] == 1
    windows, done = plan_windows(scene, halo_px=0, side=side), 0

    def tell(before: int, more: int) -> None:
        if progress is not None:
            progress(before + more, rows * columns)

    tell(0, 0)
    read = ((window, np.asarray(scene.cube[window.core_slices])) for window in windows)
    with closing(ahead(read)) as blocks:  # type: ignore[type-var]
        for window, block in blocks:
            bits, distance = _scored(model, scene, window, block, seen, tell=partial(tell, done))
            write(window, bits, distance)
            _thinned(seen, window, bits, distance)
            seen.top = _strangest(seen.top, window, bits, block, n_top)
            if truth is not None:
                known = truth[window.core_slices]
                counted = (known >= 0) & np.isfinite(bits)
                seen.truth.append((bits[counted], distance[counted], known[counted]))
            done += bits.size
            tell(done, 0)
    return seen


def _scored(
    model: SpectraModel, scene: Scene, window: Tile, block: NDArray[Any], seen: Seen, *, tell: Callable[[int], None]
) -> tuple[Float32, Float32]:
    inside = valid_at(scene, window.core_slices, block)
    out = np.full((2, *inside.shape), np.nan, np.float32)
    rows, columns = np.nonzero(inside)
    for start in range(0, len(rows), BLOCK_PX):  # a window may take minutes: each part of it is told
        part = slice(start, start + BLOCK_PX)
        out[:, rows[part], columns[part]] = model.score(block[rows[part], columns[part]])
        tell(min(start + BLOCK_PX, len(rows)))
    seen.pixels += len(rows)
    return out[0], out[1]


def _thinned(seen: Seen, window: Tile, bits: Float32, distance: Float32) -> None:
    """Keep every step-th pixel of the scene that lies in the window."""
    starts = [start for start, _ in window.core]
    first = [-start % seen.step for start in starts]
    picked = np.stack([bits, distance], -1)[first[0] :: seen.step, first[1] :: seen.step]
    places = [(start + f) // seen.step for start, f in zip(starts, first, strict=True)]
    seen.thin[places[0] : places[0] + picked.shape[0], places[1] : places[1] + picked.shape[1]] = picked


def _strangest(top: list[Strange], window: Tile, bits: Float32, block: NDArray[Any], n: int) -> list[Strange]:
    """The `n` strangest pixels of those before and the window's, no two of them close together."""
    (row, _), (column, _) = window.core
    order = np.argsort(np.where(np.isfinite(bits), -bits, np.inf), axis=None, kind="stable")
    near = n * (2 * APART_PX + 1) ** 2  # more than can lie close to the n before
    found = [
        Strange(row + int(r), column + int(c), float(bits[r, c]), np.asarray(block[r, c], np.float32))
        for r, c in zip(*np.unravel_index(order[:near], bits.shape), strict=True)
        if np.isfinite(bits[r, c])
    ]
    kept: list[Strange] = []
    for pixel in sorted([*top, *found], key=lambda p: (-p.bits, p.row, p.column)):
        if all(max(abs(pixel.row - k.row), abs(pixel.column - k.column)) > APART_PX for k in kept):
            kept.append(pixel)
        if len(kept) == n:
            break
    return kept
