"""Mask R-CNN: boxes that may hold an object, then class, box and mask of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, ConvTranspose, Encoder, Pyramid, resized, seeded
from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.roi_align import roi_align_levels
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.zoo.instances.settings import MaskRCNNSettings

SMALL = 0.01  # standard deviation of the weights that give scores and codes
PRIOR = 0.05  # probability of an object that the first scores say


@settings
class MaskRCNNSpec:
    """What a Mask R-CNN is built from; JSON and back by `to_json` and `from_json`."""

    backbone: BackboneSpec = required("The encoder.")
    n_classes: int = required("Classes of objects; the background is no class.", low=1)
    levels: tuple[int, ...] = required("Levels of the encoder that are read, from fine to coarse.", low=0)
    sizes: tuple[tuple[tuple[float, ...], ...], ...] = required(
        "Of each of these levels its anchors, each as its sides in pixels, axis by axis.", above=0
    )
    neck_width: int = option(48, "Channels of the pyramid.", low=2)
    hidden: int = option(128, "Values of each of the two layers of the head of classes and boxes.", low=2)
    mask_depth: int = option(2, "Convolutions of the mask head before its map is doubled.", low=1)
    box_bins: int = option(7, "Places along a side of a box that the head of classes reads.", low=2)
    mask_bins: int = option(14, "And the mask head.", low=2)
    samples: int = option(2, "Samples per place and axis.", low=1)

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.levels) or len({len(level) for level in self.sizes}) != 1:
            raise SettingError(f"{len(self.levels)} levels need a list of anchors each, all as long: got {self.sizes}.")
        if not self.levels or max(self.levels) >= len(self.backbone.widths):
            raise SettingError(f"levels {self.levels} of a backbone with {len(self.backbone.widths)} stages.")
        if self.backbone.conv.ndim not in (2, 3):
            raise SettingError(f"Mask R-CNN is for 2 or 3 axes, not for {self.backbone.conv.ndim}.")

    @property
    def n_axes(self) -> int:
        return self.backbone.conv.ndim

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Pixels from one cell to the next, per level that is read and axis."""
        steps = [stage.stride for stage in self.backbone.stages]
        return tuple(tuple(math.prod(axis) for axis in zip(*steps[: level + 1], strict=True)) for level in self.levels)

    @property
    def anchors(self) -> Anchors:
        return Anchors(self.sizes, self.strides)


def mask_rcnn_spec(
    channels: int, n_axes: int, n_classes: int, chosen: MaskRCNNSettings, shapes: Sequence[Sequence[float]]
) -> MaskRCNNSpec:
    """The network that is asked for; `shapes` are the anchors of all levels, from small to large."""
    n, each = len(chosen.widths), len(shapes) // len(chosen.levels)
    backbone = BackboneSpec(
        in_channels=channels, widths=chosen.widths, strides=(chosen.stem,) + (2,) * (n - 1), kernels=(3,) * n,
        depths=(chosen.depth,) * n, conv=ConvSpec(n_axes, norm="group", residual=True),
    )  # fmt: skip
    sizes = tuple(tuple(map(tuple, shapes[i * each : (i + 1) * each])) for i in range(len(chosen.levels)))
    return MaskRCNNSpec(
        backbone, n_classes, chosen.levels, sizes, neck_width=chosen.neck_width, hidden=chosen.hidden,
        mask_depth=chosen.mask_depth, box_bins=chosen.box_bins, mask_bins=chosen.mask_bins, samples=chosen.samples,
    )  # fmt: skip


class Proposals(NamedTuple):
    """What the first stage says of all anchors: (B, N) logits, (B, N, 2n) codes, in the order of `Anchors.boxes`."""

    logits: Tensor
    codes: Tensor


class Neck(nn.Module):
    """A pyramid of equal widths: each level beside what the coarser ones know, summed from coarse to fine.

    Source: Lin et al., "Feature Pyramid Networks", arXiv 1612.03144, section 3; linear interpolation on the way down.
    """

    def __init__(self, spec: BackboneSpec, levels: Sequence[int], width: int) -> None:
        super().__init__()
        self.first, plain = min(levels), replace(spec.conv, residual=False)
        self.lateral = nn.ModuleList(Conv(plain, w, width, 1, bias=True) for w in spec.widths[self.first :])
        self.kept = [level - self.first for level in levels]
        self.smooth = nn.ModuleList(ConvBlock(plain, width, width, 3) for _ in levels)

    def forward(self, pyramid: Pyramid) -> Pyramid:
        """Maps of all stages -> (B, width, *S_l) of the levels that are read."""
        maps = [lateral(x) for lateral, x in zip(self.lateral, pyramid[self.first :], strict=True)]
        for i in range(len(maps) - 2, -1, -1):
            maps[i] = maps[i] + resized(maps[i + 1], maps[i].shape[2:])
        return [smooth(maps[i]) for smooth, i in zip(self.smooth, self.kept, strict=True)]


class ProposalHead(nn.Module):
    """A convolution, then a score and codes for every anchor; the same at every level."""

    def __init__(self, conv: ConvSpec, width: int, anchors: int) -> None:
        super().__init__()
        self.block = ConvBlock(conv, width, width, 3)
        self.score = Conv(conv, width, anchors, 1, bias=True)
        self.place = Conv(conv, width, anchors * 2 * conv.ndim, 1, bias=True)
        for last in (self.score, self.place):
            nn.init.normal_(last.layer.weight, std=SMALL)  # type: ignore[arg-type]
        nn.init.constant_(self.score.layer.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]

    def forward(self, pyramid: Pyramid) -> Proposals:
        logits, codes = [], []
        for x in pyramid:
            x = self.block(x)
            logits.append(self.score(x).flatten(1))
            places = self.place(x).unflatten(1, (-1, 2 * (x.ndim - 2)))
            codes.append(places.movedim(2, -1).flatten(1, -2))
        return Proposals(torch.cat(logits, 1), torch.cat(codes, 1))


class BoxHead(nn.Module):
    """(R, C, *bins) -> (R, K + 1) class logits, background first, and (R, K, 2n) codes, one box for each class."""

    def __init__(self, spec: MaskRCNNSpec) -> None:
        super().__init__()
        n, inputs = spec.n_axes, spec.neck_width * spec.box_bins**spec.n_axes
        self.n_classes = spec.n_classes
        self.hidden = nn.Sequential(
            nn.Linear(inputs, spec.hidden), nn.ReLU(), nn.Linear(spec.hidden, spec.hidden), nn.ReLU()
        )
        self.score = nn.Linear(spec.hidden, spec.n_classes + 1)
        self.place = nn.Linear(spec.hidden, spec.n_classes * 2 * n)
        for last in (self.score, self.place):
            nn.init.normal_(last.weight, std=SMALL)
            nn.init.zeros_(last.bias)

    def forward(self, read: Tensor) -> tuple[Tensor, Tensor]:
        x = self.hidden(read.flatten(1))
        return self.score(x), self.place(x).unflatten(1, (self.n_classes, -1))


class MaskHead(nn.Module):
    """(R, C, *bins) -> (R, K, *2 bins) mask logits, one mask for each class."""

    def __init__(self, spec: MaskRCNNSpec) -> None:
        super().__init__()
        conv, width = replace(spec.backbone.conv, residual=False), spec.neck_width
        self.blocks = nn.ModuleList(ConvBlock(conv, width, width, 3) for _ in range(spec.mask_depth))
        self.raised = ConvTranspose(replace(conv, norm="none"), width, width, 2, 2)
        self.act = nn.ReLU()
        self.score = Conv(conv, width, spec.n_classes, 1, bias=True)

    def forward(self, read: Tensor) -> Tensor:
        for block in self.blocks:
            read = block(read)
        return self.score(self.act(self.raised(read, [2 * size for size in read.shape[2:]])))


class MaskRCNN(nn.Module):
    """Mask R-CNN: finds every object of a picture by a box, and says its class and its pixels.

    Defined by: a pyramid of equal widths over the encoder; a first stage that proposes boxes from anchors; RoIAlign,
    which reads 7x7 places of a proposal for its class and box, and 14x14 for its mask; a mask head that answers with
    28x28 pixels for every class by itself, so that classes do not compete for a mask.
    Use: objects that touch and must be counted or outlined one by one, as nuclei; labels that number the objects.
    Source: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", arXiv 1703.06870, ICCV 2017; Ren et al., "Faster R-CNN",
        arXiv 1506.01497; Lin et al., "Feature Pyramid Networks", arXiv 1612.03144.
    Differs: the common encoder with group norm, from random weights, narrower heads; anchors follow from the training
        boxes; anchors are matched by ATSS (`hyperseg.boxes.matching`) in place of two thresholds of IoU.
    """

    def __init__(self, spec: MaskRCNNSpec) -> None:
        super().__init__()
        self.spec = spec
        conv = replace(spec.backbone.conv, residual=False)
        self.encoder = Encoder(spec.backbone)
        self.neck = Neck(spec.backbone, spec.levels, spec.neck_width)
        self.propose = ProposalHead(conv, spec.neck_width, len(spec.sizes[0]))
        self.boxes, self.masks = BoxHead(spec), MaskHead(spec)

    @cached_property
    def anchors(self) -> Anchors:
        return self.spec.anchors

    def forward(self, x: Tensor) -> tuple[Pyramid, Proposals]:
        """(B, C, *S) -> the pyramid that the heads read, and what the first stage says of every anchor."""
        pyramid = self.neck(self.encoder(x))
        return pyramid, self.propose(pyramid)

    def classes(self, pyramid: Pyramid, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Boxes of each image (R_b, 2n) -> (R, K + 1) class logits, background first, and (R, K, 2n) codes."""
        logits, codes = self.boxes(self._read(pyramid, boxes, self.spec.box_bins))
        return logits, codes

    def outlined(self, pyramid: Pyramid, boxes: Sequence[Tensor]) -> Tensor:
        """Boxes of each image -> (R, K, *2 bins) mask logits inside them."""
        logits: Tensor = self.masks(self._read(pyramid, boxes, self.spec.mask_bins))
        return logits

    def _read(self, pyramid: Pyramid, boxes: Sequence[Tensor], bins: int) -> Tensor:
        spec = self.spec
        return roi_align_levels(
            pyramid, boxes, (bins,) * spec.n_axes, strides=spec.strides, samples=spec.samples
        )  # fmt: skip


def build(spec: MaskRCNNSpec, seed: int) -> MaskRCNN:
    """The network with weights drawn from `seed`."""
    with seeded(seed):
        return MaskRCNN(spec)
