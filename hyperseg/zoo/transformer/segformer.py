"""SegFormer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, resized
from hyperseg.backbone.blocks import Finish
from hyperseg.backbone.spec import Size, StageSpec
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.transformer.windows import heads_of

HEAD_WIDTH = 32  # channels of a head of attention
LEVELS = 4  # of the paper


@settings
class SegFormerSettings:
    """Settings of SegFormer."""

    patch: int = option(
        4, "Pixels from one token of the first level to the next, at most, where four levels are left.", low=1
    )
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
    Differs: strides and widths are the backbone's. Its first stages are one embedding, of 4 pixels as in the paper
    where four levels are left so, finer where it has fewer stages. Keys come from a map as coarse as the last level,
    which is the paper's rule 8, 4, 2, 1; heads have 32 channels or as many as divide; in volumes all kernels have
    three axes; no pre-training and no random depth. The decoder mixes each level on its own map and adds up what is
    raised, which gives the numbers of the paper's concatenation for less.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: SegFormerSettings) -> None:
        super().__init__()
        plain = ConvSpec(spec.conv.ndim, norm="none", act="none")
        stages = embedded(spec.stages, chosen.patch)
        left, levels = (1,) * spec.conv.ndim, []
        for stage in reversed(stages):
            levels.append(Level(plain, stage, left, chosen))
            left = tuple(a * s for a, s in zip(left, stage.stride, strict=True))
        self.stages = nn.ModuleList(reversed(levels))
        width = chosen.width or min(256, spec.widths[-1])
        self.equal = nn.ModuleList(Conv(plain, stage.width, width, 1, bias=True) for stage in stages)
        self.mix = nn.ModuleList(Conv(plain, width, width, 1, bias=False) for _ in stages)
        self.finish = Finish(spec.conv, width)
        self.score = Conv(plain, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """What mixes the levels is linear, so that each is mixed on its own map and their sum taken where all meet."""
        size, seen = x.shape[2:], []
        for level, equal, mix in zip(self.stages, self.equal, self.mix, strict=True):
            x = level(x)
            seen.append(mix(equal(x)))
        finest, *coarser = seen
        for y in coarser:
            finest = finest + resized(y, finest.shape[2:])
        return resized(self.score(self.finish(finest, None)), size)


def embedded(stages: Sequence[StageSpec], patch: int) -> list[StageSpec]:
    """The stages with the first of them as one, of stride `patch` at most and while more than `LEVELS` are left."""
    first, *rest = stages
    while len(rest) >= LEVELS:
        stride = tuple(a * b for a, b in zip(first.stride, rest[0].stride, strict=True))
        if max(stride) > patch:
            break
        first = replace(rest[0], in_channels=first.in_channels, stride=stride)
        rest = rest[1:]
    return [first, *rest]


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


SEGFORMER = Member(
    "segformer", "SegFormer", 2021, "transformer", SegFormer, SegFormer, SegFormerSettings, highest_lr=1e-3
)
