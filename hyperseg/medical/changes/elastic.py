"""Elastic deformation: a smooth random displacement of every voxel of a patch."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hyperseg.medical.training import Elastic

SIGMAS = 4  # a Gaussian ends there
REACH = 3  # standard deviations of a displacement; those beyond are cut


class Bend(NamedTuple):
    """One deformation: uniform noise in -1..1 smoothed by a Gaussian of `width` voxels, times `strength`.

    Attributes:
        strength, width: see above.
        axes: that are displaced, and along which the displacement changes: all, or the last two of three.
    """

    strength: float
    width: float
    axes: int

    @property
    def reach(self) -> float:
        """Voxels that anything is displaced at most along an axis."""
        smoothed = (2 * math.sqrt(math.pi) * self.width) ** (-self.axes / 2)  # deviation that is left of 1
        return REACH * self.strength * smoothed / math.sqrt(3)


def draw_bend(rng: np.random.Generator, elastic: tuple[Elastic, Elastic], axes: int) -> Bend | None:
    """A deformation of so many axes, or none."""
    how = elastic[axes - 2]
    if rng.random() >= how.p:
        return None
    return Bend(float(rng.uniform(*how.strength)), float(rng.uniform(*how.width)), axes)


def displacements(bend: Bend, patch: tuple[int, ...], *, device: torch.device | str = "cpu") -> Tensor:
    """(*patch, axes of the patch) voxels, from torch's own random numbers; slices of a flat patch move alike.

    Source: Isensee et al., arXiv 1809.10486, and the published code of that time; beyond the patch the noise is 0.
    Differs: nothing is displaced further than `Bend.reach`, so that what is brought in can be cut beforehand.
    """
    size = patch[len(patch) - bend.axes :]
    field = torch.rand((bend.axes, *size), device=device) * 2 - 1
    for axis, n in enumerate(size, start=1):
        smoothing = _gaussian(n, bend.width).to(field)
        field = torch.tensordot(field, smoothing, dims=([axis], [1])).movedim(-1, axis)
    moved = (field * bend.strength).clamp(-bend.reach, bend.reach).movedim(0, -1)
    if bend.axes == len(patch):
        return moved
    found = moved.new_zeros((*patch, len(patch)))
    found[..., len(patch) - bend.axes :] = moved
    return found


def _gaussian(n: int, width: float) -> Tensor:
    """(n, n): weights of all voxels of a line for each; what lies beyond the ends is 0."""
    reach = math.floor(SIGMAS * width + 0.5)
    whole = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2).sum()
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return torch.from_numpy(np.where(apart <= reach, np.exp(-0.5 * (apart / width) ** 2) / whole, 0.0))
