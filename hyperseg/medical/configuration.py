"""One network of a plan: at which resolution, of which shape, with which batch, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from hyperseg.backbone.spec import BackboneSpec
from hyperseg.medical.topology import Down, Size, Spacing, Topology

Name = Literal["2d", "3d", "3d_low", "3d_cascade"]


@dataclass(frozen=True)
class Sizes:
    """What the rules of a preset give: a network's stages, and images in a step."""

    topology: Topology
    batch: int


@dataclass(frozen=True)
class Configuration:
    """One network of a plan. Axes are in the plan's order: "2d" has the last two of a volume.

    Attributes:
        name: "2d", "3d", "3d_low" (a first look at whole images), "3d_cascade" (which reads its answer).
        spacing: millimetres per voxel that images are resampled to.
        size: median size of the images then.
        patch: voxels that the network is trained on at a time.
        backbone: the network's shape; the decoder mirrors it.
        down: how maps become smaller: a strided convolution, or max pooling.
        batch: patches in a step.
        batch_dice: Dice over all patches of a batch together, or of each alone.
        supervision: weight of the loss at each level of the decoder that has scores, fine to coarse.
        rotation_deg: patches are turned by up to so many degrees either way.
        in_plane: turned and bent within the planes of the coarsest axis only.
        after: the configuration whose answer is a further input, one channel for each foreground class; or "".
        values: feature values of one patch; what memory and time follow from.
        parameters: numbers that are learnt.
        training_bytes: memory of a training step, roughly; see `topology.training_bytes`.
    """

    name: Name
    spacing: Spacing
    size: Size
    patch: Size
    backbone: BackboneSpec
    down: Down
    batch: int
    batch_dice: bool
    supervision: tuple[float, ...]
    rotation_deg: float
    in_plane: bool
    after: str
    values: int
    parameters: int
    training_bytes: int

    @property
    def n_axes(self) -> int:
        return len(self.patch)

    @property
    def voxels(self) -> int:
        """Of a step: all patches of the batch."""
        return self.batch * prod(self.patch)

    @property
    def cover(self) -> float:
        """Share of the median image that one patch has; above 1 where patches are larger than images."""
        return prod(self.patch) / prod(self.size)

    @property
    def topology(self) -> Topology:
        strides, kernels = self.backbone.strides, self.backbone.kernels
        return Topology(self.patch, strides, kernels)  # type: ignore[arg-type]
