"""HRNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Pyramid, ResidualBlock, Stage, resized
from hyperseg.backbone.layers import activation
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member


@settings
class HRNetSettings:
    """Settings of HRNet."""

    exchanges: int = option(
        1, "Times that blocks and a fusion of all resolutions follow each other after a resolution is added.", low=1
    )


class HRNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): all resolutions are kept side by side, and each reads from all others, often.

    Defined by: a stage adds a coarser branch to those that are there; residual blocks work on every branch, and a
    fusion gives to each the sum of all, brought to its size by strided convolutions (down) or a 1x1 convolution and
    linear interpolation (up). At the end all branches, raised to the finest, are concatenated and scored (HRNetV2).
    Use: fine borders and thin objects that need context as well; slower than a U-Net, as fine maps are worked on till
    the end. With one stage it is a plain residual network.

    Source: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", arXiv 1908.07919.
    Differs: no stem of stride 4: the finest branch has the stride of the backbone's first stage; one fusion a stage by
    default (the paper: 1, 4 and 3); blocks are the backbone's, each of two convolutions; widths are its widths.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: HRNetSettings) -> None:
        super().__init__()
        self.body = Branches(spec, chosen.exchanges)
        width = self.body.width
        self.mix = ConvBlock(spec.conv, width, width, 1)
        self.score = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.score(self.mix(joined(self.body(x)))), x.shape[2:])


class Branches(nn.Module):
    """(B, C, *S) -> maps of all resolutions, fine to coarse, as the encoder's are shaped.

    Attributes:
        width: channels of all maps together.
    """

    def __init__(self, spec: BackboneSpec, exchanges: int) -> None:
        super().__init__()
        residual = replace(spec, conv=replace(spec.conv, residual=True))
        n = len(spec.widths)
        self.width = sum(spec.widths)
        self.opened = nn.ModuleList(Stage(residual, level) for level in range(n))
        self.exchanged = nn.ModuleList(
            nn.Sequential(*(Exchange(spec, k + 1, worked=k if first else k + 1) for first in _firsts(exchanges)))
            for k in range(1, n)
        )

    def forward(self, x: Tensor) -> Pyramid:
        first, *later = self.opened
        maps: Pyramid = [first(x)]
        for opened, exchanges in zip(later, self.exchanged, strict=True):
            maps = exchanges([*maps, opened(maps[-1])])
        return maps


class Exchange(nn.Module):
    """Maps of `n` resolutions -> the same shapes: blocks on the `worked` finest, then from all branches to all."""

    def __init__(self, spec: BackboneSpec, n: int, *, worked: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(ResidualBlock(spec.conv, stage.width, stage.width, stage.kernel) for _ in range(stage.depth))
            )
            for stage in spec.stages[:worked]
        )
        self.sums = nn.ModuleList(Sum([_road(spec, source, target) for source in range(n)]) for target in range(n))
        acts = (activation(spec.conv) for _ in range(n))
        self.acts = nn.ModuleList(nn.Identity() if act is None else act for act in acts)

    def forward(self, maps: Pyramid) -> Pyramid:
        worked = [block(y) for block, y in zip(self.blocks, maps, strict=False)]
        every = [*worked, *maps[len(worked) :]]
        return [act(sum_(every, y.shape[2:])) for sum_, act, y in zip(self.sums, self.acts, every, strict=True)]


class Sum(nn.ModuleList):
    """Maps of all resolutions, each sent its way and brought to one size -> their sum."""

    def forward(self, maps: Pyramid, size: Sequence[int]) -> Tensor:
        return torch.stack([resized(road(y), size) for road, y in zip(self, maps, strict=True)]).sum(0)


def joined(maps: Pyramid) -> Tensor:
    """All maps at the size of the finest, concatenated."""
    return torch.cat([resized(y, maps[0].shape[2:]) for y in maps], dim=1)


def _road(spec: BackboneSpec, source: int, target: int) -> nn.Module:
    """From one resolution to another, without the last activation; the way up ends with `resized`."""
    linear, widths = replace(spec.conv, act="none"), spec.widths
    if source == target:
        return nn.Identity()
    if source > target:
        return ConvBlock(linear, widths[source], widths[target], 1)
    steps: list[nn.Module] = []
    for level in range(source + 1, target + 1):
        conv = linear if level == target else spec.conv
        stage, width = spec.stages[level], widths[target if level == target else source]
        steps.append(ConvBlock(conv, widths[source], width, stage.kernel, stage.stride))
    return nn.Sequential(*steps)


def _firsts(exchanges: int) -> list[bool]:
    """Whether it is the first: then the branch that was just opened has had its blocks already."""
    return [k == 0 for k in range(exchanges)]


HRNET = Member("hrnet", "HRNet", 2019, "encoder-decoder", HRNet, HRNet, HRNetSettings)
