"""Anchors: the boxes that a detector starts from, a few of fixed sizes around every cell of its maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.core import SettingError


@dataclass(frozen=True)
class Anchors:
    """Anchors of the levels of a pyramid.

    Cell i of a level has its centre at (i + 0.5) * stride voxels, as the voxels that it stands for. Every level has the
    same number A of sizes, as one head answers for all of them.

    Attributes:
        sizes: of every level its A sizes, each n numbers in voxels.
        strides: of every level the n voxels from one cell to the next.

    Raises:
        SettingError: levels of different number, another number of axes or of sizes, or a size that is not positive.
    """

    sizes: tuple[tuple[tuple[float, ...], ...], ...]
    strides: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.sizes or len(self.sizes) != len(self.strides):
            raise SettingError(
                f"anchors need sizes and a stride for each level, got {len(self.sizes)} and {len(self.strides)} levels."
            )
        counts, axes = {len(level) for level in self.sizes}, {len(stride) for stride in self.strides}
        if len(counts) != 1 or 0 in counts:
            raise SettingError(f"every level has the same number of anchor sizes, at least one, got {sorted(counts)}.")
        if axes | {len(size) for level in self.sizes for size in level} != axes or len(axes) != 1 or 0 in axes:
            raise SettingError(f"sizes and strides of anchors have a number for each axis, got {self}.")
        if not all(0 < length < math.inf for level in self.sizes for size in level for length in size):
            raise SettingError(f"sizes of anchors are positive numbers of voxels, got {self.sizes}.")
        if not all(step >= 1 for stride in self.strides for step in stride):
            raise SettingError(f"strides are whole numbers of voxels from 1, got {self.strides}.")

    @property
    def per_cell(self) -> int:
        """A."""
        return len(self.sizes[0])

    @property
    def n_axes(self) -> int:
        """n."""
        return len(self.strides[0])

    def cells(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Of every level the cells along each axis for an image of `shape` (n voxels); the last may reach beyond it."""
        if len(shape) != self.n_axes:
            raise SettingError(f"anchors of {self.n_axes} axes do not fit an image of shape {tuple(shape)}.")
        return [tuple(-(-n // step) for n, step in zip(shape, stride, strict=True)) for stride in self.strides]

    def boxes(self, shape: Sequence[int], *, device: torch.device | str | None = None) -> list[Tensor]:
        """Of every level (A * cells, 2n) float32, in the order of a head's (B, A, *cells) when that is flattened."""
        found = []
        for level, stride, cells in zip(self.sizes, self.strides, self.cells(shape), strict=True):
            along = [(torch.arange(n, device=device) + 0.5) * step for n, step in zip(cells, stride, strict=True)]
            centre = torch.stack(torch.meshgrid(*along, indexing="ij"), -1).reshape(1, -1, self.n_axes)
            half = torch.tensor(level, dtype=torch.float32, device=device)[:, None] / 2
            found.append(torch.cat([centre - half, centre + half], -1).flatten(0, 1))
        return found
