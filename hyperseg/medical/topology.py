"""Stages of a U-Net and what they cost: patch, strides, kernels, widths, feature values, parameters; arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from hyperseg.backbone.spec import BackboneSpec, ConvSpec

Size = tuple[int, ...]
Spacing = tuple[float, ...]
Down = Literal["stride", "pool"]
FLOAT_BYTES = 4
PER_VALUE = 2.6  # numbers per feature value: 2.0 to 2.2 are kept for the way back, the rest are gradients on it


@dataclass(frozen=True)
class Topology:
    """Strides and kernels per axis, fine to coarse, and the patch they divide without remainder."""

    patch: Size
    strides: tuple[Size, ...]
    kernels: tuple[Size, ...]

    @property
    def pools(self) -> Size:
        """Halvings per axis."""
        return tuple(sum(stride[axis] > 1 for stride in self.strides) for axis in range(len(self.patch)))

    def widths(self, first: int, widest: int) -> Size:
        """Channels of the stages: doubled at each, up to `widest`."""
        return tuple(min(first * 2**stage, widest) for stage in range(len(self.strides)))

    def backbone(self, n_channels: int, widths: Size) -> BackboneSpec:
        """The network: two convolutions a stage, instance norm, leaky ReLU.

        Differs: no bias before a norm, which would take it away again: the same functions, fewer numbers to learn.
        """
        conv = ConvSpec(len(self.patch), norm="instance", act="leaky_relu")
        return BackboneSpec(n_channels, widths, self.strides, self.kernels, (2,) * len(widths), conv)


def voxels_of(patch: Size, strides: tuple[Size, ...]) -> Size:
    """Voxels of each stage's maps for a patch that the strides divide."""
    found, left = [], patch
    for stride in strides:
        left = tuple(n // step for n, step in zip(left, stride, strict=True))
        found.append(prod(left))
    return tuple(found)


def values_of(topology: Topology, widths: Size, n_classes: int) -> int:
    """Feature values of one image: two convolutions down, two and a transposed one up, and the class scores."""
    voxels = voxels_of(topology.patch, topology.strides)
    maps = [width * n for width, n in zip(widths, voxels, strict=True)]
    return 2 * sum(maps) + 3 * sum(maps[:-1]) + n_classes * voxels[0]


def parameters_of(spec: BackboneSpec, n_classes: int, *, heads: int) -> int:
    """Numbers that are learnt: encoder, decoder with transposed convolutions, class scores of the finest `heads`."""
    normed = sum(weights + 2 * out for weights, out in _convolutions(spec))
    fine = spec.stages[:-1]
    raised = sum(
        coarse.width * stage.width * prod(coarse.stride) + stage.width
        for stage, coarse in zip(fine, spec.stages[1:], strict=True)
    )
    return normed + raised + sum((width + 1) * n_classes for width in spec.widths[:heads])


def cancelled_biases(spec: BackboneSpec) -> int:
    """Biases that the published network has before its norms, and ours does not: they change no answer."""
    return sum(out for _, out in _convolutions(spec))


def _convolutions(spec: BackboneSpec) -> Iterator[tuple[int, int]]:
    """(weights, channels) of every convolution that a norm follows, down and up."""
    for level, stage in enumerate(spec.stages):
        kernel: int = prod(stage.kernel)
        ups = stage.depth if level < len(spec.widths) - 1 else 0
        for inputs in (stage.in_channels, *(stage.width,) * (stage.depth - 1)):
            yield inputs * stage.width * kernel, stage.width
        for inputs in (2 * stage.width, *(stage.width,) * (ups - 1))[:ups]:
            yield inputs * stage.width * kernel, stage.width


def training_bytes(values: int, batch: int, parameters: int) -> int:
    """Memory of a training step in float32, roughly: maps that wait for the way back, and four numbers a weight.

    A rule of thumb: `PER_VALUE` numbers for each feature value of the batch; weights, their gradients, and two numbers
    of the optimiser. Measured on a CPU (peak of the process, Hippocampus, one and three patches): 2.5 and 2.6 numbers a
    value. Mixed precision takes about half.
    """
    return round(FLOAT_BYTES * (PER_VALUE * values * batch + 4 * parameters))
