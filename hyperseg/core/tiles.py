"""Tiles with a halo: how a scene of any size passes through a network of any margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import SettingError
from hyperseg.core.words import counted

PerAxis = int | tuple[int, ...]
Layout = Literal["depth", "channels"]
"""How a network reads the bands of a window: along an axis of their own, (B, 1, L, h, w), or as its channels."""


@dataclass(frozen=True)
class Tile:
    """A window to write and the larger window to read for it.

    Attributes:
        core: half-open (start, stop) per axis: the pixels this tile is responsible for.
        read: the same of `core` grown by the halo, clipped at the scene's border.
        pad: (before, after) per axis: how many pixels the clipping took, to be filled by reflection.
    """

    core: tuple[tuple[int, int], ...]
    read: tuple[tuple[int, int], ...]
    pad: tuple[tuple[int, int], ...]

    @property
    def core_slices(self) -> tuple[slice, ...]:
        return tuple(slice(a, b) for a, b in self.core)

    @property
    def read_slices(self) -> tuple[slice, ...]:
        return tuple(slice(a, b) for a, b in self.read)


def tiles(shape: tuple[int, ...], *, size: PerAxis, halo: PerAxis) -> Iterator[Tile]:
    """Tiles whose cores partition a scene of this shape: every pixel is written by exactly one of them.

    Args:
        shape: spatial shape of the scene.
        size: largest core in pixels, one number or one per axis.
        halo: pixels to read beyond the core on both sides of an axis (a valid network's `margin`).
    """
    sides = per_axis("the side of a tile", size, len(shape), low=1)
    cuts = [[(a, min(a + side, n)) for a in range(0, n, side)] for n, side in zip(shape, sides, strict=True)]
    for core in product(*cuts):
        yield around(core, shape, halo=halo)


def around(core: tuple[tuple[int, int], ...], shape: tuple[int, ...], *, halo: PerAxis) -> Tile:
    """The tile that answers for `core`, half-open (start, stop) per axis, in a scene of this shape."""
    wide = per_axis("the halo of a tile", halo, len(shape))
    read = tuple((max(a - w, 0), min(b + w, n)) for (a, b), n, w in zip(core, shape, wide, strict=True))
    pad = tuple((ra - (a - w), (b + w) - rb) for (a, b), (ra, rb), w in zip(core, read, wide, strict=True))
    return Tile(core=core, read=read, pad=pad)


def box_around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds all True pixels of a mask; all of the mask where there is none."""
    if not mask.any():
        return tuple(slice(0, n) for n in mask.shape)
    box = []
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(box)


def per_axis(what: str, value: PerAxis, ndim: int, *, low: int = 0) -> tuple[int, ...]:
    """Pixels along each of `ndim` axes, given as one number for all of them or as one for each.

    Raises:
        SettingError: another number of them, or one below `low`; it begins with `what`.
    """
    pixels = tuple(value) if isinstance(value, Sequence) else (value,) * ndim
    if len(pixels) != ndim or min(pixels) < low:
        raise SettingError(
            f"{what} is {counted(low, 'pixel')} or more, got {value}: give one number, or one for each of {ndim} axes."
        )
    return pixels
