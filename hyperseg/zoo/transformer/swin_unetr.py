"""Swin UNETR."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, ConvTranspose, ResidualBlock, resized
from hyperseg.backbone.spec import Size, StageSpec
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.stages import check_stages
from hyperseg.zoo.transformer.windows import WindowAttention, Windows, heads_of

HEAD_WIDTH, EXPANSION, FEWEST = 16, 4, 3


@settings
class SwinUnetrSettings:
    """Settings of Swin UNETR."""

    window: int = option(7, "Sides of the windows of attention, in pixels of a level's map.", low=1)
    depth: int = option(2, "Transformer blocks per level; the windows of every second one are shifted.", low=1)


class SwinUnetr(nn.Module):
    """(B, C, *S) -> (B, K, *S): attention within windows on the way down, a U-Net's residual decoder on the way up.

    Defined by: patches become tokens; attention looks within windows, and in every second block the windows lie half a
    window earlier, so that neighbours meet; between levels, neighbouring tokens are merged. Every level but the one
    before the coarsest goes through a residual block to the decoder; the finest skip comes from the image itself.
    Use: volumes with many labelled cases, where context from afar counts. Slower than a U-Net.

    Source: Hatamizadeh, Nath, Tang, Yang, Roth, Xu, "Swin UNETR", arXiv 2201.01266; Liu et al., "Swin Transformer",
    arXiv 2103.14030.
    Differs: widths and strides are the backbone's (any stride per axis); norm and activation of the convolutions too;
    heads have 16 channels or as many as divide. Maps of any size: padding never takes part in attention. No random
    depth. Images of two axes by the same code.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: SwinUnetrSettings) -> None:
        super().__init__()
        stages, conv = spec.stages, spec.conv
        check_stages(spec, FEWEST, "Swin UNETR")
        first, second, *_, last = stages
        plain = ConvSpec(conv.ndim, norm="none", act="none")
        patch = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
        self.embed = Conv(plain, spec.in_channels, second.width, patch, patch, bias=True)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(Block(s.width, conv.ndim, chosen.window, shifted=i % 2 == 1) for i in range(chosen.depth)),
                Merging(s.width, coarser),
            )
            for s, coarser in pairwise(stages[1:])
        )
        self.finest = ResidualBlock(conv, spec.in_channels, first.width, first.kernel, first.stride)
        self.skips = nn.ModuleList(ResidualBlock(conv, s.width, s.width, s.kernel) for s in stages[1:-2])
        self.coarsest = ResidualBlock(conv, last.width, last.width, last.kernel)
        self.ups = nn.ModuleList(Up(conv, s, coarser) for s, coarser in pairwise(stages))
        self.score = Conv(conv, first.width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """The level before the coarsest goes to the decoder as it is, as in the paper's figure."""
        tokens = self.embed(x).movedim(1, -1)
        seen = [tokens]
        for stage in self.stages:
            tokens = stage(tokens)
            seen.append(tokens)
        *maps, coarsest = [F.layer_norm(t, t.shape[-1:]).movedim(-1, 1) for t in seen]
        inner = [block(y) for block, y in zip(self.skips, maps[:-1], strict=True)]
        y = self.coarsest(coarsest)
        for up, skip in zip(reversed(self.ups), reversed([self.finest(x), *inner, maps[-1]]), strict=True):
            y = up(y, skip)
        return resized(self.score(y), x.shape[2:])


class Block(nn.Module):
    """(B, *S, C) -> (B, *S, C): x + attention within windows, then + two linear layers."""

    def __init__(self, channels: int, axes: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        heads = heads_of(channels, HEAD_WIDTH)
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window, axes, shifted=shifted)
        self.widen = nn.Linear(channels, EXPANSION * channels)
        self.narrow = nn.Linear(EXPANSION * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        y: Tensor = x + self.narrow(F.gelu(self.widen(self.between(x))))
        return y


class Merging(nn.Module):
    """(B, *S, C) -> (B, *T, width): the tokens of a cell of `stride` pixels end to end, then a linear map."""

    def __init__(self, channels: int, coarser: StageSpec) -> None:
        super().__init__()
        self.stride = coarser.stride
        together = channels * prod(self.stride)
        self.norm = nn.LayerNorm(together)
        self.reduce = nn.Linear(together, coarser.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        cells = Windows(tuple(x.shape[1:-1]), self.stride, (0,) * len(self.stride))
        y: Tensor = self.reduce(self.norm(cells.cut(x).flatten(2)))
        return y.unflatten(1, cells.counts)


class Up(nn.Module):
    """A coarser map raised to the size of the skip, joined with it, then a residual block."""

    def __init__(self, spec: ConvSpec, stage: StageSpec, coarser: StageSpec) -> None:
        super().__init__()
        stride: Size = coarser.stride
        self.up = ConvTranspose(spec, coarser.width, stage.width, stride, stride, bias=False)
        self.block = ResidualBlock(spec, 2 * stage.width, stage.width, stage.kernel)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        y: Tensor = self.block(torch.cat((self.up(coarse, skip.shape[2:]), skip), dim=1))
        return y


SWIN_UNETR = Member("swin-unetr", "Swin UNETR", 2022, "transformer", SwinUnetr, SwinUnetr, SwinUnetrSettings)
