"""Regions of a feature map: where they lie, and which others each of them is held apart from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

from hyperseg.core import SettingError

SIDE = 3  # of a region, positions of the map along each axis
BEHIND = 4  # positions that the first ones of regions keep from the end
NEGATIVES = 5
QUARTERS = 4


class Regions:
    """Regions of 3 x 3 positions of a map, 13 of them on an image, and 5 others that each is held apart from.

    The first corners of regions lie at quarters of `side - 4` along each axis: at even quarters on all axes (corners,
    middles of edges, centre), or at odd quarters on all axes: 9 + 4 on an image, 27 + 8 on a volume. They are ordered
    as an array is, the last axis fastest. Neighbours are the nearest others by distance in quarters, of equal ones the
    first; the table is therefore the same for every size of map.

    Regions of a map below 16 positions a side overlap.

    Attributes:
        shape: of the map.
        positions: (A, n) int64, the first corner of each region.
        negatives: (A, 5) int64, indices of other regions, nearest first.

    Source: Chaitanya et al. 2020, section 3.2; positions as in the authors' code.
    Differs: the choice of the negatives, and volumes, are our reconstruction.

    Raises:
        SettingError: a map of one axis, or below 8 positions a side.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(n) for n in shape)
        least = BEHIND + QUARTERS
        if len(self.shape) < 2 or min(self.shape) < least:
            raise SettingError(
                f"regions need a map of two axes or more with at least {least} positions each, got {self.shape}: use "
                "larger images, or a finer level of the decoder."
            )
        quarters = torch.tensor(
            [q for q in product(range(QUARTERS + 1), repeat=len(self.shape)) if len({i % 2 for i in q}) == 1]
        )
        ends = torch.tensor([n - BEHIND for n in self.shape])
        self.positions = quarters * ends // QUARTERS
        distances = (quarters[:, None] - quarters).square().sum(-1).fill_diagonal_(torch.iinfo(torch.int64).max)
        self.negatives = distances.argsort(dim=1, stable=True)[:, :NEGATIVES]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def elements(self) -> Tensor:
        """(A, 3^n) int64: the positions of each region in the map laid end to end."""
        within = torch.tensor(list(product(range(SIDE), repeat=len(self.shape))))
        places = self.positions[:, None] + within
        strides = torch.ones(len(self.shape), dtype=torch.int64)
        for axis in range(len(self.shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * self.shape[axis + 1]
        return (places * strides).sum(-1)

    def of(self, maps: Tensor) -> Tensor:
        """(B, C, *shape) -> (B, A, C * 3^n), the values of each region, as `unfold` orders them.

        Raises:
            SettingError: maps of another size.
        """
        if tuple(maps.shape[2:]) != self.shape:
            raise SettingError(f"these regions are of maps of {self.shape}, got {tuple(maps.shape[2:])}.")
        elements = self.elements.to(maps.device)
        return maps.flatten(2)[:, :, elements].movedim(1, 2).flatten(2)
