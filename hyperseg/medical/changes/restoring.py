"""Patches disturbed on purpose, and what it costs not to restore them: a lesson that needs no labels.

Source: the idea is that of Zhou et al., "Models Genesis", MICCAI 2019 (arXiv 1908.06912): intensities bent by a
monotone curve, voxels shuffled within small blocks, blocks hidden; the network makes the image of it.
Differs: written from the idea; cells of one grid are shuffled or hidden instead of overlapping blocks of random sizes,
nothing is painted outside of a middle block, and every number is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import ClassHead, Decoder

CELLS = 8  # along an axis of a patch


@dataclass(frozen=True)
class Disturbance:
    """How much is disturbed; all zero leaves images as they are.

    Attributes:
        bent: probability that the intensities of a channel of an image are bent.
        shuffled, hidden: probability that a cell is shuffled or hidden.
    """

    bent: float = 0.5
    shuffled: float = 0.2
    hidden: float = 0.2


def disturbed(images: Tensor, how: Disturbance, generator: torch.Generator) -> Tensor:
    """(B, C, *S) images, disturbed; bent first, then shuffled, then hidden.

    Args:
        images: on any device; what is drawn comes from the CPU, the same for all of them.
        how: of it.
        generator: on the CPU.
    """
    cell = tuple(max(side // CELLS, 2) for side in images.shape[2:])
    found = images
    chosen = torch.rand(images.shape[:2], generator=generator) < how.bent
    controls = torch.rand((*images.shape[:2], 2), generator=generator).sort(-1).values
    if chosen.any():
        there = chosen.to(images.device).reshape(*chosen.shape, *(1,) * len(cell))
        found = torch.where(there, bent(found, controls.to(images.device)), found)
    cells = (len(images), *(side // c for side, c in zip(images.shape[2:], cell, strict=True)))
    places = torch.rand((*cells, prod(cell)), generator=generator).argsort(-1)
    moved = torch.rand(cells, generator=generator) < how.shuffled
    if moved.any():
        straight = torch.arange(prod(cell)).expand_as(places)
        found = shuffled(found, cell, torch.where(moved[..., None], places, straight).to(images.device))
    gone = torch.rand(cells, generator=generator) < how.hidden
    level = torch.rand((len(images), images.shape[1], *cells[1:]), generator=generator)
    if gone.any():
        found = hidden(found, cell, gone.to(images.device), level.to(images.device))
    return found


def bent(images: Tensor, controls: Tensor) -> Tensor:
    """Intensities through a monotone curve that keeps the least and the largest value of each channel of a patch.

    The curve is a cubic of Bernstein's with the ordinates 0, p, q, 1: it rises everywhere where 0 <= p <= q <= 1, and
    is the straight line for p = 1/3, q = 2/3.

    Args:
        images: (B, C, *S).
        controls: (B, C, 2) p and q.
    """
    axes = tuple(range(2, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    p, q = controls.reshape(*controls.shape, *(1,) * len(axes)).unbind(2)
    t = (images - low) / (high - low).clamp(min=1e-6)
    curve = 3 * p * (1 - t) ** 2 * t + 3 * q * (1 - t) * t**2 + t**3
    return low + (high - low) * curve


def shuffled(images: Tensor, cell: tuple[int, ...], places: Tensor) -> Tensor:
    """Voxels within each cell in another order, the same for all channels; what no whole cell holds stays.

    Args:
        images: (B, C, *S).
        cell: sides of a cell; cells begin at the first voxel.
        places: (B, *number of cells, voxels of a cell): from which of the cell's voxels each takes its value.
    """
    numbers, n = places.shape[1:-1], len(cell)
    ends = [k * c for k, c in zip(numbers, cell, strict=True)]
    whole = begun_with(images, ends)
    split = [part for pair in zip(numbers, cell, strict=True) for part in pair]
    order = (0, 1, *range(2, 2 + 2 * n, 2), *range(3, 3 + 2 * n, 2))  # (B, C, *number of cells, *cell)
    apart = whole.reshape(*whole.shape[:2], *split).permute(order)
    flat = apart.reshape(*apart.shape[: 2 + n], -1)
    moved = flat.gather(-1, places[:, None].expand_as(flat)).reshape(apart.shape)
    back = [0, 1, *(axis for i in range(n) for axis in (2 + i, 2 + n + i))]
    found = images.clone()
    begun_with(found, ends).copy_(moved.permute(back).reshape(whole.shape))
    return found


def hidden(images: Tensor, cell: tuple[int, ...], gone: Tensor, level: Tensor) -> Tensor:
    """Cells painted over with one value each, between the least and the largest one of the channel.

    Args:
        images: (B, C, *S).
        cell: sides of a cell.
        gone: (B, *number of cells) which ones.
        level: (B, C, *number of cells) the value as a share of that range.
    """
    axes = tuple(range(2, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    values, mask = low + (high - low) * level, gone[:, None]
    for axis, side in enumerate(cell, start=2):
        values, mask = (x.repeat_interleave(side, axis) for x in (values, mask))
    found = images.clone()
    begun_with(found, values.shape[2:]).copy_(torch.where(mask, values, begun_with(images, values.shape[2:])))
    return found


def begun_with(images: Tensor, ends: Sequence[int]) -> Tensor:
    """The first so many voxels of each spatial axis, as a view."""
    for axis, end in enumerate(ends, start=2):
        images = images.narrow(axis, 0, end)
    return images


def restoring_loss(restored: Tensor, images: Tensor) -> Tensor:
    """Mean squared difference over all voxels and channels."""
    return F.mse_loss(restored, images)


class Restorer(nn.Module):
    """An encoder and a decoder that are trained, and a 1x1 convolution that makes an image of their finest map."""

    def __init__(self, encoder: nn.Module, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.head = ClassHead(decoder.spec, decoder.spec.in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        return self.head(self.decoder(self.encoder(x)))
