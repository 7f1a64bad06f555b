"""Overlapping windows become a map: where they lie, how they are seen, what they weigh, their mean. Knows no network.

Source: Isensee et al., "nnU-Net", 2021, inference: overlap of one half, Gaussian importance of sigma = side / 8.
Differs: the weight's floor is 1e-6 of its peak; its centre is the window's, also for even sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import combinations, product
from typing import NamedTuple

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


def mirrors(axes: Iterable[int]) -> list[tuple[int, ...]]:
    """What an image is flipped along for each of its mirror images, itself first: every choice of the axes."""
    every = tuple(axes)
    return [flip for n in range(len(every) + 1) for flip in combinations(every, n)]


class View(NamedTuple):
    """How an image is seen: flipped along `axes`, counted from the last one (-1, -2, ...), then turned by quarters.

    Attributes:
        turns: quarter turns of the last two axes, 0 or 1: half a turn is a flip along both.
    """

    axes: tuple[int, ...] = ()
    turns: int = 0


def view(axes: Iterable[int] = (), turns: int = 0) -> View:
    """Flips along `axes` (-1, -2, ...), then so many quarter turns; what looks the same is the same."""
    half = {-2, -1} if turns % 4 > 1 else set()
    return View(tuple(sorted(half ^ set(axes))), turns % 2)


def seen(x: Tensor, how: View) -> Tensor:
    """(..., *S) in a view; after a quarter turn the last two sides are swapped."""
    return torch.rot90(x.flip(how.axes), how.turns, (-2, -1))


def seen_back(x: Tensor, how: View) -> Tensor:
    """(..., *S) of what is in a view: the inverse of `seen`, bit by bit."""
    return torch.rot90(x, -how.turns, (-2, -1)).flip(how.axes)


def weights(side: tuple[int, ...]) -> Float32:
    """(*side, 1): what a window's pixels count, a product of one bell per axis."""
    bells = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) + 1e-6 for n in side]
    return reduce(np.multiply.outer, bells).astype(np.float32)[..., None]


def blend(
    values: Iterable[Tensor], shape: tuple[int, ...], side: tuple[int, ...], n_channels: int, *,
    most: int | None = None,
) -> Iterator[tuple[Tile, Tensor]]:  # fmt: skip
    """Weighted means of the (*side, n_channels) values of each of `windows(shape, side)`, where the values are.

    Yields slabs along the first axis (bands of rows of an image, slices of a volume) as soon as no later window
    reaches them, and holds no more than one window's length of them. They lie in memory as the values do: channels
    first or last.

    Args:
        values, shape, side, n_channels: as above.
        most: numbers in a slab, or a single row where that has more; whatever a step of windows gives if left out.
    """
    weight, stream = torch.from_numpy(weights(side)), iter(values)
    first = starts(shape[0], side[0])
    room: Tensor | None = None
    for top, following in zip(first, [*first[1:], shape[0]], strict=True):
        for across in windows(shape[1:], side[1:]):
            value = next(stream)
            if room is None:
                weight, room = weight.to(value.device), torch.empty_like(value, dtype=weight.dtype)
                total = _zeros_like(value, (side[0], *shape[1:], n_channels))
                mass = total.new_zeros(side[0], *shape[1:], 1)
            # into the same room each time: new memory for every window costs more than the product
            total[:, *across] += torch.mul(weight, value, out=room)
            mass[:, *across] += weight
            del value  # let go before the next one is made
        closed = following - top
        rows = closed if most is None else max(1, most * side[0] // total.numel())
        for start in range(0, closed, rows):
            stop = min(start + rows, closed)
            core = ((top + start, top + stop), *((0, n) for n in shape[1:]))
            yield Tile(core, core, ((0, 0),) * len(shape)), total[start:stop] / mass[start:stop]
        for slab in (total, mass):
            for start in range(0, side[0] - closed, closed):  # piece by piece: none overlaps with where it goes
                piece = slab[start + closed : start + 2 * closed]
                slab[start : start + len(piece)] = piece
            slab[side[0] - closed :] = 0


def _zeros_like(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Float32 zeros with channels first in memory where those of `value` are."""
    if value.stride(-1) == 1 or value.shape[-1] == 1:
        return torch.zeros(shape, device=value.device)
    return torch.zeros((shape[-1], *shape[:-1]), device=value.device).movedim(0, -1)
