"""The detector: a pyramid of the common backbone, and a head that says of every anchor what is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, Decoder, Encoder
from hyperseg.boxes.anchors import Anchors
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.detection.settings import DetectorSettings

SMALL = 0.01  # standard deviation of the weights that give scores and codes: at first all say the prior


class Answer(NamedTuple):
    """What a detector says, a map for each level that is read, from fine to coarse.

    Attributes:
        logits: (B, A, *S_l), of an object at every anchor.
        codes: (B, A, 2n, *S_l), from the anchor to the object's box, see `hyperseg.boxes.codes`.
    """

    logits: list[Tensor]
    codes: list[Tensor]


@settings
class DetectorSpec:
    """What a detector is; JSON and back by `to_json` and `from_json`."""

    backbone: BackboneSpec = required("Encoder and decoder.")
    levels: tuple[int, ...] = required("Levels of the pyramid that the head reads, from fine to coarse.", low=0)
    sizes: tuple[tuple[tuple[float, ...], ...], ...] = required(
        "Of each of these levels its anchors, each as its sides in voxels, axis by axis.", above=0
    )
    head_width: int = option(32, "Channels of the head.", low=2)
    head_depth: int = option(1, "Convolutions of the head before scores and boxes, each.", low=1)
    prior: float = option(0.01, "Probability of an object that the network starts from.", above=0, below=1)
    alike: tuple[int, ...] = option(
        (), "A number for every axis; axes of one number may be exchanged by rotations. Empty: all axes are alike."
    )

    def __post_init__(self) -> None:
        n = self.n_axes
        counts = {len(level) for level in self.sizes}
        if len(self.sizes) != len(self.levels) or len(counts) != 1 or 0 in counts:
            raise SettingError(f"{len(self.levels)} levels need a list of anchors each, all as long: got {self.sizes}.")
        if any(len(size) != n for level in self.sizes for size in level):
            raise SettingError(f"an anchor has {n} sides, one for each axis: got {self.sizes}.")
        if any(len(set(level)) < len(level) for level in self.sizes):
            raise SettingError(f"the anchors of a level differ from each other, got {self.sizes}.")
        if self.levels and max(self.levels) >= len(self.backbone.widths):
            raise SettingError(f"levels {self.levels} of a backbone with {len(self.backbone.widths)} levels.")
        if self.alike and len(self.alike) != n:
            raise SettingError(f"alike is a number for each of {n} axes, got {self.alike}.")

    @property
    def n_axes(self) -> int:
        return self.backbone.conv.ndim

    @property
    def channels(self) -> int:
        return self.backbone.in_channels

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Voxels from one cell to the next, per level that is read and axis."""
        steps = [stage.stride for stage in self.backbone.stages]
        return tuple(tuple(math.prod(axis) for axis in zip(*steps[: level + 1], strict=True)) for level in self.levels)

    @property
    def stride(self) -> tuple[int, ...]:
        """Of the coarsest stage, per axis: sides of patches are multiples of it."""
        return self.backbone.stride

    @property
    def anchors(self) -> Anchors:
        return Anchors(self.sizes, self.strides)


def detector_spec(
    channels: int, n_axes: int, chosen: DetectorSettings, *, boxes: Tensor | None = None, alike: Sequence[int] = ()
) -> DetectorSpec:
    """The detector that is asked for; anchors follow from the training boxes unless they are given.

    Args:
        channels: of the images.
        n_axes: 2 or 3.
        boxes: (N, 2n) of training, in voxels; needed where anchors are planned.
        alike: see `DetectorSpec`; from spacings by `alike_axes`.

    Raises:
        SettingError: anchors are to be planned and there are no boxes.
    """
    n = len(chosen.widths)
    conv = ConvSpec(n_axes, norm=chosen.norm)
    backbone = BackboneSpec(
        in_channels=channels, widths=chosen.widths, strides=(chosen.stem,) + (2,) * (n - 1), kernels=(3,) * n,
        depths=(chosen.depth,) * n, conv=conv,
    )  # fmt: skip
    kinds = tuple(alike) or (0,) * n_axes
    if chosen.anchors:
        shapes = tuple((side,) * n_axes for side in chosen.anchors)
    else:
        shapes = planned_anchors(boxes, len(chosen.levels) * chosen.per_level, kinds)
    each = len(shapes) // len(chosen.levels)
    sizes = tuple(shapes[i * each : (i + 1) * each] for i in range(len(chosen.levels)))
    return DetectorSpec(
        backbone, chosen.levels, sizes, head_width=chosen.head_width, head_depth=chosen.head_depth,
        prior=chosen.prior, alike=kinds,
    )  # fmt: skip


def planned_anchors(boxes: Tensor | None, count: int, alike: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """`count` anchors from small to large, as the training boxes are: sides rise by one factor from anchor to anchor.

    The smallest and largest are the 10th and 90th percentile of the boxes' mean sides (geometric), at least a factor of
    1.5 apart. Axes that are alike have one side; others have the median proportion of the boxes. Ours.
    """
    if boxes is None or not len(boxes):
        raise SettingError(
            "anchors are planned from training boxes and there is none: give `anchors`, sides in voxels."
        )
    n = boxes.shape[1] // 2
    sides = (boxes[:, n:] - boxes[:, :n]).double().clamp(min=1e-3).log()
    mean = sides.mean(1)
    low, high = (float(mean.quantile(q)) for q in (0.1, 0.9))
    middle, half = (low + high) / 2, max((high - low) / 2, math.log(1.5) / 2)
    steps = torch.linspace(middle - half, middle + half, count, dtype=torch.float64) if count > 1 else [middle]
    form = (sides - mean[:, None]).median(0).values
    form = torch.stack([form[[kind == own for kind in alike]].mean() for own in alike])
    return tuple(tuple(round(math.exp(float(step) + float(f)), 3) for f in form) for step in steps)


def alike_axes(spacing_mm: Sequence[float], *, tolerance: float = 0.01) -> tuple[int, ...]:
    """A number for every axis, the same where spacings are the same to a share of `tolerance`."""
    kinds: list[float] = []
    found = []
    for spacing in spacing_mm:
        known = [i for i, kind in enumerate(kinds) if abs(spacing - kind) <= tolerance * kind]
        if not known:
            kinds.append(spacing)
        found.append(known[0] if known else len(kinds) - 1)
    return tuple(found)


class Tower(nn.Module):
    """A few convolutions and a last one, the same at every level."""

    def __init__(self, conv: ConvSpec, width: int, depth: int, out: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(conv, width, width, 3) for _ in range(depth))
        self.last = Conv(conv, width, out, 1, bias=True)
        nn.init.normal_(self.last.layer.weight, std=SMALL)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class Detector(nn.Module):
    """A one-stage detector in two or three dimensions; fully convolutional, so that any size of image is a patch.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, for one head at all levels and the prior;
        Wang et al., "FocalMix", CVPR 2020, for one score and a box at every anchor of a volume (read second-hand).
    Differs: the pyramid is that of the common backbone's U-Net; a 1x1 block brings every level to the head's width.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        self.spec, backbone, n = spec, spec.backbone, spec.n_axes
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone)
        each, width = len(spec.sizes[0]), spec.head_width
        self.necks = nn.ModuleList(ConvBlock(backbone.conv, backbone.widths[i], width, 1) for i in spec.levels)
        self.score = Tower(backbone.conv, width, spec.head_depth, each)
        self.place = Tower(backbone.conv, width, spec.head_depth, each * 2 * n)
        nn.init.constant_(self.score.last.layer.bias, math.log(spec.prior / (1 - spec.prior)))  # type: ignore[arg-type]

    @cached_property
    def anchors(self) -> Anchors:
        return self.spec.anchors

    def forward(self, x: Tensor) -> Answer:
        """(B, C, *S) -> scores and codes of every level."""
        pyramid = self.decoder(self.encoder(x), finest=min(self.spec.levels))
        found = [pyramid[level - min(self.spec.levels)] for level in self.spec.levels]
        read = [neck(level) for neck, level in zip(self.necks, found, strict=True)]
        codes = [self.place(level).unflatten(1, (-1, 2 * self.spec.n_axes)) for level in read]
        return Answer([self.score(level) for level in read], codes)


def flat(answer: Answer) -> tuple[Tensor, Tensor]:
    """(B, N) logits and (B, N, 2n) codes of all anchors, in the order of `Anchors.boxes`."""
    codes = [code.movedim(2, -1).flatten(1, -2) for code in answer.codes]
    return flat_maps(answer.logits), torch.cat(codes, dim=1)


def flat_maps(maps: Sequence[Tensor]) -> Tensor:
    """Anchor maps (B, A, *S_l) of all levels as (B, N), in the order of `Anchors.boxes`."""
    return torch.cat([one.flatten(1) for one in maps], dim=1)
