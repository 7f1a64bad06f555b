"""Overlapping windows become a map: where they lie, what they weigh, and their mean. Knows no network.

Source: Isensee et al., "nnU-Net", 2021, inference: overlap of one half, Gaussian importance of sigma = side / 8.
Differs: the weight's floor is 1e-6 of its peak; its centre is the window's, also for even sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import Tile

Float32 = NDArray[np.float32]


def starts(n: int, side: int) -> list[int]:
    """Evenly spread window starts with at least half a window of overlap, the last one flush with the end."""
    count = -(-(n - side) // max(side // 2, 1)) + 1
    return [round(i * (n - side) / max(count - 1, 1)) for i in range(count)]


def windows(shape: tuple[int, ...], side: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Half-overlapping windows over `shape`, the last axis first, as `blend` takes them."""
    for origin in product(*map(starts, shape, side)):
        yield tuple(slice(a, a + n) for a, n in zip(origin, side, strict=True))


def weights(side: tuple[int, ...]) -> Float32:
    """(*side, 1): what a window's pixels count, a product of one bell per axis."""
    bells = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) + 1e-6 for n in side]
    return reduce(np.multiply.outer, bells).astype(np.float32)[..., None]


def blend(
    values: Iterable[Tensor], shape: tuple[int, ...], side: tuple[int, ...], n_channels: int
) -> Iterator[tuple[Tile, Tensor]]:
    """Weighted means of the (*side, n_channels) values of each of `windows(shape, side)`, where the values are.

    Yields slabs along the first axis (bands of rows of an image, slices of a volume) as soon as no later window
    reaches them, and holds no more than one window's length of them.
    """
    weight, stream = torch.from_numpy(weights(side)), iter(values)
    total, mass = (torch.zeros(side[0], *shape[1:], n) for n in (n_channels, 1))
    first = starts(shape[0], side[0])
    for top, following in zip(first, [*first[1:], shape[0]], strict=True):
        for across in windows(shape[1:], side[1:]):
            value = next(stream)
            if value.device != total.device:  # the first one says where
                weight, total, mass = (x.to(value.device) for x in (weight, total, mass))
            total[:, *across] += weight * value
            mass[:, *across] += weight
        closed = following - top
        core = ((top, following), *((0, n) for n in shape[1:]))
        yield Tile(core, core, ((0, 0),) * len(shape)), total[:closed] / mass[:closed]
        for slab in (total, mass):
            for start in range(0, side[0] - closed, closed):  # piece by piece: none overlaps with where it goes
                piece = slab[start + closed : start + 2 * closed]
                slab[start : start + len(piece)] = piece
            slab[side[0] - closed :] = 0
