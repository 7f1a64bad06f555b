"""Multiply-adds and memory of a planned network; arithmetic alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hyperseg.backbone.spec import BackboneSpec
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.topology import FLOAT_BYTES, PER_VALUE, Size

SLABS = 3  # times a window's length of scores: their sum, a window's own, and what is brought to the case's grid


def forward_madds(spec: BackboneSpec, patch: Sequence[int], n_classes: int, *, heads: int = 1) -> int:
    """Multiply-adds of one patch through the U-Net: convolutions, transposed ones, and the scores of `heads` levels.

    Norms, activations and biases are left out: they are a few operations for each value, convolutions hundreds.
    Pooling moves none of them: the convolution behind it has as many outputs as a strided one.
    """
    voxels = [prod(size) for size in spec.sizes(patch)]
    total = sum(width * n_classes * n for width, n in zip(spec.widths[:heads], voxels, strict=False))
    for level, stage in enumerate(spec.stages):
        inputs = stage.in_channels + (stage.depth - 1) * stage.width
        if level < len(voxels) - 1:  # on the way up, where the first convolution reads the skip too
            inputs += (1 + stage.depth) * stage.width
        total += inputs * stage.width * prod(stage.kernel) * voxels[level]
    for fine, coarse, n in zip(spec.stages, spec.stages[1:], voxels[1:], strict=False):
        total += coarse.width * fine.width * prod(coarse.stride) * n
    return total


def training_madds(one: Configuration, n_classes: int) -> int:
    """Multiply-adds of a training step: all patches forward, and twice as many back, for the weights and for the maps.

    The first convolution has no map to pass anything back to.
    """
    spec, first = one.backbone, one.backbone.stages[0]
    unneeded = first.in_channels * first.width * prod(first.kernel) * prod(spec.sizes(one.patch)[0])
    return one.batch * (3 * forward_madds(spec, one.patch, n_classes, heads=len(one.supervision)) - unneeded)


def training_memory(one: Configuration, *, half: bool = False) -> int:
    """Bytes of a training step: see `topology.training_bytes`.

    Args:
        one: of a plan.
        half: convolutions run in 16 bits (autocast): maps take half the room, weights stay in 32.
    """
    maps = FLOAT_BYTES * PER_VALUE * one.values * one.batch
    return round((0.5 if half else 1.0) * maps + 4 * FLOAT_BYTES * one.parameters)


def scores_memory(one: Configuration, size: Size, n_classes: int) -> int:
    """Bytes of a case's scores while it is predicted: of a window's length of it, whatever its length is.

    Args:
        one: of a plan.
        size: of a prepared case, in the plan's order of axes.
        n_classes: K.
    """
    across = map(max, size[len(size) - one.n_axes :][1:], one.patch[1:])
    return FLOAT_BYTES * SLABS * n_classes * one.patch[0] * prod(across)
