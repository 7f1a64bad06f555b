"""Rules of nnU-Net's second version: patch, topology and batch that fill a memory.

Source: its published code, state of July 2026; Isensee et al., Nature Methods 18 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from hyperseg.core import SettingError
from hyperseg.medical.configuration import Sizes
from hyperseg.medical.topology import Size, Spacing, Topology, values_of

LEAST_SIZE = 4  # of the coarsest map
FIRST_WIDTH = 32
CASES_SHARE = 0.05  # of all voxels of the data set that one step may see
FEWEST = 2  # images in a batch
USUAL_GIGABYTES = 8.0
LOW_SHARE = 0.25  # of the median image that a patch covers at low resolution
LOW_STEP = 1.03  # times the spacing
LOW_GAIN = 2  # times fewer voxels, or it is not worth a network


@dataclass(frozen=True)
class Budget:
    """What a card of 8 GB holds, for one number of axes.

    Attributes:
        start: side of the square or cube, equal in millimetres, that planning starts from.
        values: feature values of one image, of `batch` images.
        batch: images.
        widest: channels at most.
    """

    start: int
    values: float
    batch: int
    widest: int


BUDGETS = {2: Budget(2048, 8.5e7, 12, 512), 3: Budget(256, 5.6e8, 2, 320)}


@dataclass(frozen=True)
class Limits:
    """What one step may take, and see.

    Attributes:
        gigabytes: of the card; feature values scale with it.
        values: feature values of a whole batch at most, or None.
        n_classes: K, background included.
        all_voxels: of the data set at its target spacing; a step sees at most 5 % of them.
    """

    gigabytes: float
    values: float | None
    n_classes: int
    all_voxels: float

    def batch(self, topology: Topology, values: int) -> tuple[int, int]:
        """Images of a step that the memory (or the patience) holds, and that 5 % of the data set's voxels are."""
        budget = BUDGETS[len(topology.patch)]
        share = CASES_SHARE * self.all_voxels / prod(topology.patch)
        return round(self.per_image(budget) / values * budget.batch), round(share)

    def per_image(self, budget: Budget) -> float:
        """Feature values that each of `budget.batch` images may have."""
        memory = budget.values * self.gigabytes / USUAL_GIGABYTES
        return memory if self.values is None else min(memory, self.values / budget.batch)


def widths(topology: Topology) -> Size:
    return topology.widths(FIRST_WIDTH, BUDGETS[len(topology.patch)].widest)


def first_patch(spacing: Spacing, size: Size, start: int) -> Size:
    """The largest patch thought of: equal sides in millimetres, no larger than the images."""
    fineness = 1 / np.asarray(spacing)
    sides = fineness * (start ** len(spacing) / fineness.prod()) ** (1 / len(spacing))
    return tuple(min(round(float(side)), n) for side, n in zip(sides, size, strict=True))


def halve(spacing: Spacing, patch: Size) -> Topology:
    """Halve axes, the finest first, until maps are small; the patch grows to a multiple of what that divides by.

    Axes are halved together while their spacings differ by less than a factor of two. A kernel looks along an axis from
    the stage on where its spacing is less than twice the finest.
    """
    spaces, sizes = list(spacing), list(patch)
    axes = range(len(patch))
    kernel = [1] * len(patch)
    strides: list[Size] = [(1,) * len(patch)]
    kernels: list[Size] = []
    while True:
        large = [axis for axis in axes if sizes[axis] >= 2 * LEAST_SIZE]
        finest = min((spaces[axis] for axis in large), default=0.0)
        halved = [axis for axis in large if spaces[axis] / finest < 2]
        if not halved or (len(halved) == 1 and sizes[halved[0]] < 3 * LEAST_SIZE):
            break
        kernel = [3 if spaces[axis] / min(spaces) < 2 else kernel[axis] for axis in axes]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in halved else 1 for axis in axes))
        for axis in halved:
            spaces[axis] *= 2
            sizes[axis] = ceil(sizes[axis] / 2)
    kernels.append((3,) * len(patch))
    steps = [prod(stride[axis] for stride in strides) for axis in axes]
    whole = tuple(ceil(n / step) * step for n, step in zip(patch, steps, strict=True))
    return Topology(whole, tuple(strides), tuple(kernels))


def fit(spacing: Spacing, size: Size, limits: Limits) -> Sizes:
    """The patch and batch that the limits allow for images of this spacing and median size, coarse axes first.

    Raises:
        SettingError: the limits hold no patch at all.
    """
    budget = BUDGETS[len(spacing)]
    allowed = limits.per_image(budget)
    topology = halve(spacing, first_patch(spacing, size, budget.start))
    while (values := values_of(topology, widths(topology), limits.n_classes)) / budget.batch * 2 > allowed:
        smaller = _smaller(topology, spacing, size)
        if min(smaller.patch) < 1 or not any(smaller.pools):
            raise SettingError(
                f"no network fits: two patches of {' x '.join(map(str, topology.patch))} voxels have {2 * values:.2g} "
                f"feature values, and {allowed * budget.batch:.2g} are allowed. Give more gigabytes, or more patience."
            )
        topology = smaller
    return Sizes(topology, max(min(limits.batch(topology, values)), FEWEST))


def _smaller(topology: Topology, spacing: Spacing, size: Size) -> Topology:
    """One step less along the axis that covers most of an image."""
    patch = list(topology.patch)
    cover = [n / of for n, of in zip(patch, size, strict=True)]
    axis = max(range(len(patch)), key=lambda a: (cover[a], a))
    shorter = [*patch]
    shorter[axis] -= 2 ** topology.pools[axis]
    patch[axis] -= 2 ** halve(spacing, tuple(shorter)).pools[axis]
    return halve(spacing, tuple(patch))


def low_resolution(spacing: Spacing, size: Size, full: Sizes, limits: Limits) -> tuple[Spacing, Size, Sizes] | None:
    """Spacing, median size and network of a first look at whole images; None where the full one sees enough.

    Spacings grow by 3 % (first those more than twice as fine as the coarsest) until a patch covers a quarter.
    """
    low, voxels, found = np.array(spacing), float(prod(size)), full
    less: Size = size
    while prod(found.topology.patch) / voxels < LOW_SHARE:
        fine = low.max() / low > 2
        low = np.where(fine if fine.any() else True, low * LOW_STEP, low)
        shape = np.array(spacing) / low * np.array(size)
        voxels, less = float(shape.prod()), tuple(max(1, round(float(n))) for n in shape)
        found = fit(tuple(map(float, low)), less, limits)
    if found is full or prod(size) / voxels < LOW_GAIN:
        return None
    return tuple(map(float, low)), less, found
