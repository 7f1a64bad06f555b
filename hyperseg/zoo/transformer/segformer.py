"""SegFormer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, resized
from hyperseg.backbone.spec import Size, StageSpec
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.transformer.windows import heads_of

HEAD_WIDTH = 32  # channels of a head of attention


@settings
class SegFormerSettings:
    """Settings of SegFormer."""

    depth: int = option(2, "Transformer blocks per level.", low=1)
    expansion: int = option(4, "Times more channels inside the feed-forward layers.", low=1)
    width: int = option(
        0, "Channels that every level is brought to in the decoder; 0: those of the coarsest, at most 256.", low=0
    )


class SegFormer(nn.Module):
    """(B, C, *S) -> (B, K, *S): a pyramid of transformers, whose levels a few linear layers join.

    Defined by: patches that overlap become tokens, at the strides of a usual encoder; attention whose keys come from a
    coarser map, so that its cost stays near linear; a depthwise 3x3 kernel in the feed-forward layers in place of
    positions, so that any size is taken; a decoder of linear layers only.
    Use: many labelled images and context from afar; a decoder that costs little.

    Source: Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer", arXiv 2105.15203.
    Differs: strides and widths are the backbone's, from a first level as fine as its first stage is (in the paper 4
    pixels); keys come from a map as coarse as the last level, which is the paper's rule 8, 4, 2, 1; heads have 32
    channels or as many as divide; in volumes all kernels have three axes; no pre-training and no random depth.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: SegFormerSettings) -> None:
        super().__init__()
        plain = ConvSpec(spec.conv.ndim, norm="none", act="none")
        left, levels = spec.stride, []
        for stage in spec.stages:
            left = tuple(a // s for a, s in zip(left, stage.stride, strict=True))
            levels.append(Level(plain, stage, left, chosen))
        self.stages = nn.ModuleList(levels)
        width = chosen.width or min(256, spec.widths[-1])
        self.equal = nn.ModuleList(Conv(plain, w, width, 1, bias=True) for w in spec.widths)
        self.mix = ConvBlock(spec.conv, width * len(levels), width, 1)
        self.score = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        size, seen = x.shape[2:], []
        for level, equal in zip(self.stages, self.equal, strict=True):
            x = level(x)
            seen.append(equal(x))
        seen = [resized(y, seen[0].shape[2:]) for y in seen]
        return resized(self.score(self.mix(torch.cat(seen, dim=1))), size)


class Level(nn.Module):
    """(B, in, *S) -> (B, width, *T): overlapping patches as tokens, then transformer blocks.

    Args:
        reduction: per axis, of the map that the keys come from.
    """

    def __init__(self, spec: ConvSpec, stage: StageSpec, reduction: Size, chosen: SegFormerSettings) -> None:
        super().__init__()
        kernel = tuple(1 if k == s == 1 else max(3, 2 * s - 1) for k, s in zip(stage.kernel, stage.stride, strict=True))
        look = tuple(3 if k > 1 else 1 for k in stage.kernel)
        self.embed = Conv(spec, stage.in_channels, stage.width, kernel, stage.stride, bias=True)
        self.first = nn.LayerNorm(stage.width)
        self.blocks = nn.ModuleList(
            Block(spec, stage.width, reduction, look, chosen.expansion) for _ in range(chosen.depth)
        )
        self.last = nn.LayerNorm(stage.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = as_map(self.first(as_tokens(x)), x.shape[2:])
        for block in self.blocks:
            x = block(x)
        return as_map(self.last(as_tokens(x)), x.shape[2:])


class Block(nn.Module):
    """(B, C, *S) -> (B, C, *S): x + attention, then + a feed-forward layer that looks at neighbours (Mix-FFN)."""

    def __init__(self, spec: ConvSpec, channels: int, reduction: Size, kernel: Size, expansion: int) -> None:
        super().__init__()
        inside = channels * expansion
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = ReducedAttention(spec, channels, reduction)
        self.widen = nn.Linear(channels, inside)
        self.neighbours = Conv(spec, inside, inside, kernel, groups=inside, bias=True)
        self.narrow = nn.Linear(inside, channels)

    def forward(self, x: Tensor) -> Tensor:
        size, tokens = x.shape[2:], as_tokens(x)
        tokens = tokens + self.attention(self.before(tokens), size)
        inside = self.neighbours(as_map(self.widen(self.between(tokens)), size))
        return as_map(tokens + self.narrow(F.gelu(as_tokens(inside))), size)


class ReducedAttention(nn.Module):
    """(B, N, C) tokens of a map of `size` -> (B, N, C): every one reads from tokens of a map `reduction` times coarser.

    With a reduction of 1 it is full attention.

    Args:
        reduction: per axis.
    """

    def __init__(self, spec: ConvSpec, channels: int, reduction: Size) -> None:
        super().__init__()
        self.heads = heads_of(channels, HEAD_WIDTH)
        self.query, self.read = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.write = nn.Linear(channels, channels)
        reduces = max(reduction) > 1
        self.reduce = Conv(spec, channels, channels, reduction, reduction, bias=True) if reduces else None
        self.norm = nn.LayerNorm(channels) if reduces else None

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        source = tokens
        if self.reduce is not None and self.norm is not None:
            source = self.norm(as_tokens(self.reduce(as_map(tokens, size))))
        query = self.query(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.read(source).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        written: Tensor = self.write(found)
        return written


def as_tokens(x: Tensor) -> Tensor:
    """(B, C, *S) -> (B, N, C)."""
    return x.flatten(2).transpose(1, 2)


def as_map(tokens: Tensor, size: Size) -> Tensor:
    """(B, N, C) -> (B, C, *size)."""
    return tokens.transpose(1, 2).unflatten(2, tuple(size))


SEGFORMER = Member("segformer", "SegFormer", 2021, "transformer", SegFormer, SegFormer, SegFormerSettings)
