"""`plan_network`, `plan_patches`: the network, and patches for it, from training boxes, spacing and device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, log2

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.core.words import counted, listed
from hyperseg.detection.network import DetectorSpec, alike_axes, detector_spec
from hyperseg.detection.settings import DetectorSettings
from hyperseg.recipes.detection.images.volume import ALIKE
from hyperseg.recipes.detection.settings import DetectSettings

Floats = NDArray[np.float64]
Size = tuple[int, ...]
VOXELS = {"cpu": {2: 128**2, 3: 48**3}, "cuda": {2: 320**2, 3: 96**3}}  # of a patch, by axes
BATCH = {"cpu": 2, "cuda": 4}
WIDTHS: dict[str, Size] = {"cpu": (16, 32, 64, 128), "cuda": (32, 64, 128, 256)}
SMALL, LARGE = 10, 90  # percentiles of the boxes' sizes
FINE, COARSE = 3.0, 12.0  # voxels of a small box: below, the first stage has stride 1; from here on 4
WIDE = 4.0  # times as large as a small box is a large one: then a third level is read
CONTEXT = 2.0  # a patch is so many times as long as a large box, at least
ROUNDED = 0.25  # of a cell that a patch may be shorter than that
OVERLAPS = (0.25, 0.5)  # least and most of windows: half of it should be as long as a large box
CELLS = 2  # of the coarsest map along each axis of a patch, at least


@dataclass(frozen=True)
class Plan:
    """What a detector is and learns from.

    Attributes:
        spacing: millimetres per axis of the grid; () where nothing says.
        spec: the network with its anchors.
        patch: voxels per axis.
        batch, batch_unlabelled: patches of a step; near: share of the labelled ones that hold a box.
        overlap: share of a window's side that the next one has too when a volume is looked through.
    """

    spacing: tuple[float, ...]
    spec: DetectorSpec
    patch: Size
    batch: int
    batch_unlabelled: int
    near: float
    overlap: float

    def told(self) -> str:
        """In words."""
        grid = f"voxels of {by(self.spacing)} mm, " if self.spacing else ""
        sizes = [size for level in self.spec.sizes for size in level]
        anchors = listed(f"{size[0]:.3g}" if len(set(size)) == 1 else by(size) for size in sizes)
        widths = self.spec.backbone.widths
        strides = listed(by(s) if len(set(s)) > 1 else str(s[0]) for s in self.spec.strides)
        return (
            f"{grid}patch {by(self.patch)}, anchors {anchors} voxels at every {strides} voxels, "
            f"{counted(len(widths), 'stage')} of {widths[0]} to {widths[-1]} channels, "
            f"{self.batch} labelled and {self.batch_unlabelled} unlabelled patches a step"
        )


def plan_network(boxes: Floats, sizes: Sequence[Sequence[int]], device: str) -> DetectorSettings:
    """Settings of the network for boxes (M, 2n) in voxels of the grid, and images of those sizes.

    The stride of the first stage follows from small boxes, the levels that are read from the range of sizes, the number
    of channels from the device; small images have fewer stages.

    Raises:
        LabelError: there is no box.
    """
    if not len(boxes):
        raise LabelError(
            f"none of {counted(len(sizes), 'labelled case')} has a box: nothing to learn from. Label more cases."
        )
    n = boxes.shape[1] // 2
    sides = np.exp(np.log(np.maximum(boxes[:, n:] - boxes[:, :n], 1e-3)).mean(1))
    small, large = np.percentile(sides, (SMALL, LARGE))
    stem = 1 if small < FINE else 2 if small < COARSE else 4
    levels = (0, 1, 2) if large > WIDE * small else (0, 1)
    widths = WIDTHS[kind_of(device)]
    side = float(np.exp(np.log(np.median(np.asarray(sizes, np.float64), axis=0)).mean()))
    while len(widths) > levels[-1] + 1 and CELLS * stem * 2 ** (len(widths) - 1) > side:
        widths = widths[:-1]
    return DetectorSettings(widths=widths, stem=stem, levels=levels)


def make_plan(
    settings: DetectSettings, boxes: Floats, sizes: Sequence[Sequence[int]], spacing: Sequence[float], *, channels: int,
    device: str,
) -> Plan:  # fmt: skip
    """The network that is asked for, and patches for it.

    A patch has the proportions of the boxes and about as many voxels as the device takes, is twice as long as a large
    box and no longer than the volumes, whole cells of the coarsest map, and as long along axes of one spacing. Along
    axes of long voxels, where boxes have fewer of them, the first stages do not stride.

    Args:
        settings: of the run.
        boxes: (M, 2n) of the labelled cases, in voxels of the grid.
        sizes: voxels per axis of these cases.
        spacing: of the grid in mm, () where nothing says.
        channels: of the images.
        device: patches and batches are smaller on a CPU.

    Raises:
        SettingError: a patch that does not fit the network.
    """
    n = boxes.shape[1] // 2
    alike = alike_axes(spacing, tolerance=ALIKE) if spacing else (0,) * n
    spec = detector_spec(channels, n, settings.detector, boxes=torch.from_numpy(boxes).float(), alike=alike)
    sides = even(np.maximum(boxes[:, n:] - boxes[:, :n], 1e-3), alike)
    middle, large = np.median(sides, 0), np.percentile(sides, LARGE, axis=0)
    spec = replace(spec, backbone=replace(spec.backbone, strides=strides_of(spec, middle)))
    kind, chosen = kind_of(device), settings.training
    volume = np.median(np.asarray(sizes, np.float64), axis=0)
    patch = chosen.patch or planned_patch(middle, large, volume, spec.stride, VOXELS[kind][n], alike)
    check_patch(patch, spec, alike)
    batch = chosen.batch or BATCH[kind]
    return Plan(
        tuple(float(f"{mm:.4g}") for mm in spacing), spec, tuple(patch), batch, chosen.batch_unlabelled or batch,
        chosen.near, float(np.clip(np.max(2 * large / patch), *OVERLAPS).round(3)),
    )  # fmt: skip


def strides_of(spec: DetectorSpec, middle: Floats) -> tuple[Size, ...]:
    """Strides of all stages: along an axis whose boxes have half as many voxels as the longest, a stage fewer."""
    found = [list(stage.stride) for stage in spec.backbone.stages]
    for axis, side in enumerate(middle):
        left = floor(log2(float(middle.max() / side)) + 0.25)  # factors of two that it does without
        for stride in found:
            while left > 0 and stride[axis] > 1:
                stride[axis] //= 2
                left -= 1
    return tuple(map(tuple, found))


def planned_patch(
    middle: Floats, large: Floats, volume: Floats, cell: Size, voxels: int, alike: Sequence[int]
) -> Size:  # fmt: skip
    """Voxels per axis, see `make_plan`; `cell` is the stride of the coarsest map."""
    edge = middle * (voxels / middle.prod()) ** (1 / len(middle))
    edge = np.minimum(np.maximum(edge, CONTEXT * large), volume)
    edge = np.array([min(edge[[kind == own for kind in alike]]) for own in alike])
    return tuple(int(max(ceil(e / c - ROUNDED), CELLS) * c) for e, c in zip(edge, cell, strict=True))


def check_patch(patch: Sequence[int], spec: DetectorSpec, alike: Sequence[int]) -> None:
    """A patch has as many axes as images, holds whole cells, and is as long along axes that are exchanged."""
    told = f"training.patch {by(patch)}"
    if len(patch) != spec.n_axes:
        raise SettingError(f"{told}: images have {spec.n_axes} axes; give a number for each.")
    if any(p % s for p, s in zip(patch, spec.stride, strict=True)):
        raise SettingError(f"{told}: give multiples of {by(spec.stride)}, the strides of the network.")
    if any(a == b and p != q for a, p in zip(alike, patch, strict=True) for b, q in zip(alike, patch, strict=True)):
        raise SettingError(f"{told}: axes of one spacing are exchanged by rotations; give the same number for them.")


def even(sides: Floats, alike: Sequence[int]) -> Floats:
    """Sides (M, n) of boxes with those along alike axes as their geometric mean."""
    found = sides.copy()
    for kind in set(alike):
        axes = [axis for axis, own in enumerate(alike) if own == kind]
        found[:, axes] = np.exp(np.log(sides[:, axes]).mean(1, keepdims=True))
    return found


def kind_of(device: str) -> str:
    """Which of the tables above holds for a device."""
    return "cpu" if device.startswith("cpu") else "cuda"


def by(numbers: Sequence[float]) -> str:
    """Numbers with crosses between them."""
    return "x".join(f"{number:.3g}" for number in numbers)
