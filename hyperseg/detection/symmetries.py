"""Flips and 90-degree rotations of images, boxes, anchor maps and box codes, each with its inverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor

from hyperseg.boxes.anchors import Anchors
from hyperseg.core import SettingError

Sizes = Sequence[Sequence[Sequence[float]]]
"""Of every level its anchors, each as its sides."""


@dataclass(frozen=True)
class Symmetry:
    """Axes are exchanged, then some are reversed.

    Attributes:
        order: axis k of the result is axis order[k] of what is given.
        flips: whether axis k of the result is reversed.
    """

    order: tuple[int, ...]
    flips: tuple[bool, ...]

    @property
    def inverse(self) -> Symmetry:
        """What undoes it."""
        back = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return Symmetry(back, tuple(self.flips[k] for k in back))

    def shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Spatial shape of the result."""
        return tuple(shape[axis] for axis in self.order)

    def image(self, x: Tensor) -> Tensor:
        """(..., *S) -> (..., *shape(S)), the same values elsewhere."""
        before = x.ndim - len(self.order)
        x = x.permute(*range(before), *(before + axis for axis in self.order))
        return x.flip([before + k for k, flip in enumerate(self.flips) if flip]).contiguous()

    def boxes(self, boxes: Tensor, shape: Sequence[int]) -> Tensor:
        """(N, 2n) boxes in an image of spatial `shape` -> the same boxes in the turned image."""
        n, order = len(self.order), list(self.order)
        low, high = boxes[:, :n][:, order], boxes[:, n:][:, order]
        ends = torch.tensor(self.shape(shape), dtype=boxes.dtype, device=boxes.device)
        flips = torch.tensor(self.flips, device=boxes.device)
        return torch.cat((torch.where(flips, ends - high, low), torch.where(flips, ends - low, high)), dim=1)

    def maps(self, maps: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
        """Anchor maps (B, A, *S_l), as they are of the turned image: anchors of two forms may change places."""
        return [self.image(one)[:, self.places(level)] for one, level in zip(maps, sizes, strict=True)]

    def codes(self, codes: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
        """Box codes (B, A, 2n, *S_l), as they are of the turned image; shifts along a reversed axis change sign."""
        n, found = len(self.order), []
        for one, level in zip(codes, sizes, strict=True):
            turned = self.image(one)[:, self.places(level)][:, :, [*self.order, *(n + axis for axis in self.order)]]
            signs = turned.new_tensor([-1.0 if flip else 1.0 for flip in self.flips] + [1.0] * n)
            found.append(turned * signs.view(1, 1, 2 * n, *(1,) * n))
        return found

    def places(self, sizes: Sequence[Sequence[float]]) -> list[int]:
        """Which anchor of a level comes to stand at each place.

        Raises:
            SettingError: an anchor has a form that no anchor of the level has when turned.
        """
        forms = [tuple(size) for size in sizes]
        turned = [tuple(size[axis] for axis in self.order) for size in forms]
        try:
            return [turned.index(form) for form in forms]
        except ValueError:
            raise SettingError(f"anchors {forms} are not closed under the exchange of axes {self.order}.") from None


def symmetries(
    shape: Sequence[int], anchors: Anchors, *, stride: Sequence[int], alike: Sequence[int] = ()
) -> tuple[Symmetry, ...]:
    """All flips and rotations that map a patch, its cells and its anchors onto themselves; the first does nothing.

    Axes are exchanged only where they are alike, the patch has equal sides, every level equal strides, and the anchors
    of every level are a closed set. In a cubic patch with isotropic anchors these are 48, in a square 8.

    Args:
        shape: of the patch.
        stride: of the coarsest stage of the network; sides are multiples of it, or cells of mirrored patches would lie
            elsewhere.
        alike: a number for every axis, equal where axes may be exchanged; empty: all may.

    Raises:
        SettingError: a side is no multiple of the stride.
    """
    if any(side % step for side, step in zip(shape, stride, strict=True)):
        raise SettingError(
            f"a patch of {tuple(shape)} has sides that are no multiples of the network's stride {tuple(stride)}: "
            "choose a patch whose sides are."
        )
    n, found = len(shape), []
    kinds = tuple(alike) or (0,) * n
    for order in permutations(range(n)):
        turn = Symmetry(order, (False,) * n)
        same = all(turn.shape(what) == tuple(what) for what in (shape, kinds, *anchors.strides))
        if same and all(_closed(turn, level) for level in anchors.sizes):
            found += [Symmetry(order, flips) for flips in product((False, True), repeat=n)]
    return tuple(found)


def drawn(group: Sequence[Symmetry], count: int, rng: np.random.Generator) -> list[Symmetry]:
    """`count` of them at random, none twice as long as there are as many."""
    return [group[i] for i in rng.choice(len(group), count, replace=count > len(group))]


def _closed(turn: Symmetry, sizes: Sequence[Sequence[float]]) -> bool:
    forms = [tuple(size) for size in sizes]
    return sorted(forms) == sorted(tuple(size[axis] for axis in turn.order) for size in forms)
