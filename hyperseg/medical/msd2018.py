"""Rules of the first nnU-Net: fixed sizes, matched to the shape of the images.

Source: Isensee et al., arXiv 1809.10486 (2018).
Differs: nothing says how a patch of the median's aspect ratio is rounded. Here each side goes to the nearest multiple
of what its pools divide by, and the side that is most too long is shortened until 128 ** 3 voxels are not exceeded.
Axes are pooled until a map is smaller than 8, in 3-D too: "until 8" would give four pools to 128, the paper has five.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, prod

import numpy as np

from hyperseg.medical.configuration import Sizes
from hyperseg.medical.topology import Size, Spacing, Topology

SMALL = 8  # a map below this is not pooled again
FIRST_WIDTH = 30
CASES_SHARE = 0.05
FEWEST = 2
LOW_RATIO = 4  # times the voxels of a patch that the median image may have without a first look
LOW_STEP = 1.01


@dataclass(frozen=True)
class Start:
    """What planning starts from, for one number of axes: side of the patch, batch, pools and channels at most."""

    side: int
    batch: int
    pools: int
    widest: int


STARTS = {2: Start(256, 42, 6, 480), 3: Start(128, 2, 5, 320)}


def widths(topology: Topology) -> Size:
    return topology.widths(FIRST_WIDTH, STARTS[len(topology.patch)].widest)


def pool(patch: Size) -> Topology:
    """Pool every axis until its map is small; kernels are 3 throughout. The patch grows to what that divides."""
    start = STARTS[len(patch)]
    pools = [_pools(n, start.pools) for n in patch]
    strides = [tuple(2 if stage < p else 1 for p in pools) for stage in range(max(pools))]
    whole = tuple(ceil(n / 2**p) * 2**p for n, p in zip(patch, pools, strict=True))
    ones = (1,) * len(patch)
    return Topology(whole, (ones, *strides), ((3,) * len(patch),) * (max(pools) + 1))


def _pools(n: int, most: int) -> int:
    pools = 0
    while n >= SMALL and pools < most:
        n, pools = ceil(n / 2), pools + 1
    return pools


def fit(size: Size, *, all_voxels: float) -> Sizes:
    """Patch and batch for images of this median size: whole planes, or what of a volume has 128 ** 3 voxels.

    The batch keeps the voxels of a step, but at most 5 % of the data set's, and at least two.
    """
    topology = pool(size) if len(size) == 2 else _volume(size, STARTS[3].side ** 3)
    return Sizes(topology, max(min(batch(topology, all_voxels=all_voxels)), FEWEST))


def batch(topology: Topology, *, all_voxels: float) -> tuple[int, int]:
    """Images of a step that keep the voxels of the start, and that 5 % of the data set's voxels are."""
    axes, voxels = len(topology.patch), prod(topology.patch)
    start = STARTS[axes]
    return floor(start.batch * start.side**axes / voxels), round(CASES_SHARE * all_voxels / voxels)


def _volume(size: Size, most: int) -> Topology:
    share = min(1.0, (most / prod(size)) ** (1 / 3))
    ideal = [share * n for n in size]
    steps = [2 ** _pools(round(n), STARTS[3].pools) for n in ideal]
    if share == 1.0:
        patch = [ceil(n / step) * step for n, step in zip(size, steps, strict=True)]
    else:
        patch = [max(1, floor(n / step + 0.5)) * step for n, step in zip(ideal, steps, strict=True)]
    while prod(patch) > most:
        longer = [axis for axis in range(3) if patch[axis] > steps[axis]]
        axis = max(longer, key=lambda a: (patch[a] / ideal[a], a))
        patch[axis] -= steps[axis]
    return pool(tuple(patch))


def low_resolution(
    spacing: Spacing, size: Size, full: Sizes, *, all_voxels: float
) -> tuple[Spacing, Size, Sizes] | None:
    """Spacing, median size and network of the first stage of a cascade; None where a patch holds a quarter of an image.

    First the finer axes are made coarser until they match the coarsest, then all of them.
    """
    if prod(size) <= LOW_RATIO * prod(full.topology.patch):
        return None
    low, less, found = np.array(spacing), size, full
    while prod(less) > LOW_RATIO * prod(found.topology.patch):
        fine = low < low.max() * (1 - 1e-9)
        low = np.where(fine, np.minimum(low * LOW_STEP, low.max()), low) if fine.any() else low * LOW_STEP
        shape = np.array(spacing) / low * np.array(size)
        less = tuple(max(1, round(float(n))) for n in shape)
        found = fit(less, all_voxels=all_voxels)
    return tuple(map(float, low)), less, found
