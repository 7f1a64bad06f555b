"""Objects of a whole volume: tile by tile with overlap, in memory that does not grow with the volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.boxes.codes import decode
from hyperseg.boxes.overlap import centres, clipped, volumes
from hyperseg.boxes.suppression import suppressed
from hyperseg.core import SettingError
from hyperseg.core.words import counted
from hyperseg.detection.network import DetectorSpec, flat

Floats = NDArray[np.float32]
PER_TILE = 256  # candidates of a tile that are decoded


@dataclass(frozen=True)
class Lazy:
    """A volume that is read window by window.

    Attributes:
        shape: spatial, in voxels.
        read: slices, one for each axis -> (C, *window), as the network was taught (normalised).
    """

    shape: tuple[int, ...]
    read: Callable[[tuple[slice, ...]], Floats]


class Objects(NamedTuple):
    """What was found, best first: boxes (N, 2n) in voxels of the volume, scores (N,) in [0, 1]."""

    boxes: Floats
    scores: Floats


class Window(NamedTuple):
    """Where a tile lies, and which anchors it answers for: those whose centre is in [low, high) along every axis."""

    start: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def find(
    networks: Sequence[nn.Module],
    volume: Floats | Lazy,
    spec: DetectorSpec,
    *,
    patch: Sequence[int],
    overlap: float = 0.5,
    threshold: float = 0.01,
    most: int = 100,
    suppress: float = 0.1,
    device: torch.device | str = "cpu",
    done: Callable[[int, int], None] = lambda done, of: None,
) -> Objects:
    """The objects of a volume.

    Tiles begin at multiples of the network's stride, so that their anchors are anchors of the volume, and every anchor
    is taken from the one tile in which it lies farthest from the border: a box that a tile cuts is not there twice. Of
    each tile the best candidates stay; those of all tiles go through non-maximum suppression together.

    Args:
        networks: detectors of this `spec` in evaluation mode, on `device`; probabilities and box codes are averaged.
        volume: (C, *S), or windows of it as they are asked for.
        patch: sides of a tile; made smaller along axes where the volume is smaller, and multiples of the stride.
        overlap: share of a tile's side that the next tile has too, below 1. Half of it should be as long as an object.
        threshold: least probability of an object.
        most: objects of the volume, at most.
        suppress: boxes that overlap a better one by more than that (intersection over union) are left out.
        done: called after each tile with tiles done and all tiles.

    Raises:
        SettingError: no network, or a volume of other axes or channels.
    """
    source = (
        volume
        if isinstance(volume, Lazy)
        else Lazy(tuple(volume.shape[1:]), lambda where: volume[(slice(None), *where)])
    )
    n = spec.n_axes
    if not networks or len(source.shape) != n or len(patch) != n:
        raise SettingError(
            f"a detector of {n} axes got {counted(len(networks), 'network')}, a volume of shape {source.shape} and a "
            f"patch of {tuple(patch)}: give at least one network, and {n} numbers each."
        )
    if not 0 <= overlap < 1:
        raise SettingError(f"the overlap of tiles is a share of 0 or more and below 1, got {overlap}.")
    sides = fitting(source.shape, patch, spec.stride)
    windows = list(tiles(source.shape, sides, spec.stride, overlap=overlap))
    anchors = torch.cat(spec.anchors.boxes(sides)).to(device)
    boxes: list[Tensor] = []
    scores: list[Tensor] = []
    for number, window in enumerate(windows):
        image = torch.from_numpy(read(source, window.start, sides, spec.channels)).to(device)
        own, sure = _of_tile(networks, image[None], anchors, window, threshold, source.shape)
        kept = suppressed(own, sure, overlap=suppress, most=most)
        boxes.append(own[kept].cpu())
        scores.append(sure[kept].cpu())
        done(number + 1, len(windows))
    every, sure = torch.cat(boxes), torch.cat(scores)
    kept = suppressed(every, sure, overlap=suppress, most=most)
    return Objects(every[kept].numpy(), sure[kept].numpy())


def fitting(shape: Sequence[int], patch: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
    """Sides of a tile: the patch, no longer than the volume needs, rounded up to multiples of the stride."""
    return tuple(-(-min(p, n) // s) * s for n, p, s in zip(shape, patch, stride, strict=True))


def tiles(shape: Sequence[int], sides: Sequence[int], stride: Sequence[int], *, overlap: float) -> Iterator[Window]:
    """Windows that cover a volume; every place is answered for by exactly one of them."""
    along = []
    for n, side, step in zip(shape, sides, stride, strict=True):
        advance = max(int(side * (1 - overlap)) // step, 1) * step
        last = max(-(-(n - side) // step) * step, 0)
        starts = [*range(0, last, advance), last]
        cuts = [(b + a + side) / 2 for a, b in pairwise(starts)]
        along.append(list(zip(starts, [-np.inf, *cuts], [*cuts, np.inf], strict=True)))
    for axes in product(*along):
        yield Window(*(tuple(values) for values in zip(*axes, strict=True)))


def read(source: Lazy, start: Sequence[int], sides: Sequence[int], channels: int) -> Floats:
    """A window (C, *sides) that begins at `start`; beyond the end of the volume its last voxels go on."""
    where = tuple(slice(a, min(a + side, n)) for a, side, n in zip(start, sides, source.shape, strict=True))
    window = np.asarray(source.read(where), np.float32)
    if window.shape != (channels, *(cut.stop - cut.start for cut in where)):
        raise SettingError(
            f"a window of the volume has shape {window.shape}, expected {channels} channels and then "
            f"{tuple(cut.stop - cut.start for cut in where)}: channels come first."
        )
    short = [(0, side - w) for side, w in zip(sides, window.shape[1:], strict=True)]
    return np.pad(window, [(0, 0), *short], mode="edge") if any(after for _, after in short) else window.copy()


@torch.no_grad()
def _of_tile(
    networks: Sequence[nn.Module], image: Tensor, anchors: Tensor, window: Window, threshold: float,
    shape: Sequence[int],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Boxes in the volume and scores of the best candidates of a tile."""
    said = [flat(net(image)) for net in networks]
    probs = torch.stack([logits[0].float().sigmoid() for logits, _ in said]).mean(0)
    codes = torch.stack([code[0].float() for _, code in said]).mean(0)
    start = probs.new_tensor(window.start)
    middle = centres(anchors) + start
    own = ((middle >= probs.new_tensor(window.low)) & (middle < probs.new_tensor(window.high))).all(1)
    candidates = (own & (probs >= threshold)).nonzero()[:, 0]
    best = candidates[probs[candidates].topk(min(PER_TILE, len(candidates))).indices]
    boxes = clipped(decode(codes[best], anchors[best]) + start.repeat(2), shape)
    real = volumes(boxes) > 0
    return boxes[real], probs[best][real]
