"""From the spacing and size of images to the patch, batch and shape of a U-Net that fits a card: arithmetic only.

Source: nnU-Net's published rules: Isensee et al., Nature Methods 18 (2021), and the rules of its second version.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from hyperseg.backbone.spec import BackboneSpec, ConvSpec

Size = tuple[int, ...]
Spacing = tuple[float, ...]
LEAST_SIZE = 4  # of the coarsest map
FIRST_WIDTH = 32
CASES_SHARE = 0.05  # of all voxels of the data set that one step may see
FEWEST = 2  # images in a batch


@dataclass(frozen=True)
class Budget:
    """What a card of 8 GB holds, in feature values, for one number of axes.

    Attributes:
        start: side of the square or cube, equal in millimetres, that planning starts from.
        values: of all maps of a network, for `batch` images.
        batch: images.
        widest: channels at most.
    """

    start: int
    values: float
    batch: int
    widest: int


BUDGETS = {2: Budget(2048, 8.5e7, 12, 512), 3: Budget(256, 5.6e8, 2, 320)}


@dataclass(frozen=True)
class Topology:
    """Stages of a U-Net: strides and kernels per axis, fine to coarse, and the patch they divide without remainder."""

    patch: Size
    strides: tuple[Size, ...]
    kernels: tuple[Size, ...]

    @property
    def pools(self) -> Size:
        """Halvings per axis."""
        return tuple(sum(stride[axis] > 1 for stride in self.strides) for axis in range(len(self.patch)))

    def widths(self, widest: int) -> tuple[int, ...]:
        """Channels of the stages: doubled at each, up to `widest`."""
        return tuple(min(FIRST_WIDTH * 2**stage, widest) for stage in range(len(self.strides)))

    def values(self, n_classes: int, widest: int) -> int:
        """Feature values of one image: two convolutions down, two and a transposed one up, and the class scores."""
        voxels = [prod(self.patch)]
        for stride in self.strides[1:]:
            voxels.append(voxels[-1] // prod(stride))
        maps = [width * n for width, n in zip(self.widths(widest), voxels, strict=True)]
        return 2 * sum(maps) + 3 * sum(maps[:-1]) + n_classes * voxels[0]

    def backbone(self, n_channels: int, widest: int) -> BackboneSpec:
        """The network: two convolutions a stage, instance norm, leaky ReLU."""
        conv = ConvSpec(len(self.patch), norm="instance", act="leaky_relu")
        stages = len(self.strides)
        return BackboneSpec(n_channels, self.widths(widest), self.strides, self.kernels, (2,) * stages, conv)


@dataclass(frozen=True)
class Configuration:
    """One network of a plan, at one resolution.

    Attributes:
        spacing: millimetres per voxel that images are resampled to, per axis of the patch.
        size: median size of the images then.
        topology: of the network.
        batch: images in a step.
        values: feature values of one image, see `Topology.values`.
    """

    spacing: Spacing
    size: Size
    topology: Topology
    batch: int
    values: int


def target_spacing(spacings: np.ndarray, sizes: np.ndarray) -> Spacing:
    """The spacing to resample to: (n, 3) spacings and sizes of cases -> the median, finer along a coarse axis.

    An axis three times as coarse as the others, and with three times fewer voxels, gets the tenth percentile of its
    spacings (but no less than the next coarsest): the median would throw away what the finest images show.
    """
    spacing, size = np.median(spacings, 0), np.median(sizes, 0)
    worst = int(spacing.argmax())
    others = [axis for axis in range(len(spacing)) if axis != worst]
    if spacing[worst] > 3 * spacing[others].max() and size[worst] * 3 < size[others].min():
        fine = float(np.percentile(spacings[:, worst], 10))
        spacing[worst] = max(fine, float(spacing[others].max()) + 1e-5)
    return tuple(map(float, spacing))


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


def configure(
    spacing: Spacing, size: Size, *, n_cases: int, n_classes: int, volume: Size, gigabytes: float = 8
) -> Configuration:
    """The patch and batch that a card of `gigabytes` trains a network of these images with.

    Args:
        spacing: of the images, per axis; coarse axes first.
        size: their median size, of the axes of `spacing`.
        n_cases: of the data set.
        n_classes: K, background included.
        volume: median size of the volumes, all axes: a step sees at most 5 % of the data set.
        gigabytes: of the card; feature values scale with it.
    """
    budget = BUDGETS[len(spacing)]
    allowed = budget.values * gigabytes / 8
    topology = halve(spacing, first_patch(spacing, size, budget.start))
    while (values := topology.values(n_classes, budget.widest)) / budget.batch * 2 > allowed:
        topology = _smaller(topology, spacing, size)
    most = round(CASES_SHARE * prod(volume) * n_cases / prod(topology.patch))
    batch = max(min(round(allowed / values * budget.batch), most), FEWEST)
    return Configuration(spacing, size, topology, batch, values)


def _smaller(topology: Topology, spacing: Spacing, size: Size) -> Topology:
    """One step less along the axis that covers most of an image."""
    patch = list(topology.patch)
    cover = [n / of for n, of in zip(patch, size, strict=True)]
    axis = max(range(len(patch)), key=lambda a: (cover[a], a))
    shorter = [*patch]
    shorter[axis] -= 2 ** topology.pools[axis]
    patch[axis] -= 2 ** halve(spacing, tuple(shorter)).pools[axis]
    return halve(spacing, tuple(patch))
