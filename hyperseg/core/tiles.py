"""Tiles with a halo: how a scene of any size passes through a network of any margin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from hyperseg.core.errors import SettingError


@dataclass(frozen=True)
class Tile:
    """A window to write (`core`) and the larger window to read for it.

    Attributes:
        core: half-open (start, stop) per axis: the pixels this tile is responsible for.
        read: (start, stop) per axis inside the scene: `core` grown by the halo, clipped at the border.
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


def tiles(shape: tuple[int, ...], *, size: tuple[int, ...], halo: int) -> Iterator[Tile]:
    """Cover `shape` once with tiles of at most `size`, each with a halo of `halo` pixels.

    The cores partition the scene: every pixel is written by exactly one tile.

    Args:
        shape: spatial shape of the scene.
        size: largest core per axis, in pixels.
        halo: pixels to read beyond the core on every side (a valid network's `margin`).
    """
    if len(size) != len(shape) or min(size) < 1 or halo < 0:
        raise SettingError(f"tiles of size {size} with halo {halo} cannot cover a scene of shape {shape}.")
    starts = [range(0, n, s) for n, s in zip(shape, size, strict=True)]
    for origin in product(*starts):
        core = tuple((o, min(o + s, n)) for o, s, n in zip(origin, size, shape, strict=True))
        yield around(core, shape, halo=halo)


def around(core: tuple[tuple[int, int], ...], shape: tuple[int, ...], *, halo: int) -> Tile:
    """The tile that answers for `core`, half-open (start, stop) per axis, in a scene of this shape."""
    read = tuple((max(a - halo, 0), min(b + halo, n)) for (a, b), n in zip(core, shape, strict=True))
    pad = tuple((ra - (a - halo), (b + halo) - rb) for (a, b), (ra, rb) in zip(core, read, strict=True))
    return Tile(core=core, read=read, pad=pad)
