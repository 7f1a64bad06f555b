"""SegNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ResidualBlock, Stage, resized
from hyperseg.backbone.context.unpool import pooled, unpooled
from hyperseg.backbone.spec import Size
from hyperseg.zoo.member import Member


@dataclass(frozen=True)
class Places:
    """Where the maxima of one pooling were, and the size of the map that they are from."""

    index: Tensor
    size: Size


class SegNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): max pooling on the way down; on the way up values return to where the maxima were.

    Defined by: the decoder is given the places of the maxima and nothing else of the finer levels; its sparse maps are
    made dense by convolutions.
    Use: where memory is short: places cost less than the features a U-Net keeps; borders stay where they were.

    Source: Badrinarayanan, Kendall, Cipolla, "SegNet", arXiv 1511.00561.
    Differs: the backbone's widths, kernels, depths and strides; every stride but the first stage's is a max pooling
    with cells of that size. The coarsest stage has convolutions of its own before the way up, where the paper's ends
    with a pooling.

    Attributes:
        moved: pixels by which what a value tells may be moved, from one place of its cells to another.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        ones = (1,) * spec.conv.ndim
        self.strides = [stage.stride for stage in spec.stages[1:]]
        self.moved = max(a - b for a, b in zip(spec.stride, spec.stages[0].stride, strict=True))
        flat = replace(spec, strides=(spec.strides[0], *[ones] * len(self.strides)))
        self.stages = nn.ModuleList(Stage(flat, level) for level in range(len(spec.widths)))
        self.decoder = nn.ModuleList(mirrored(spec, level) for level in range(len(spec.widths)))
        self.score = Conv(spec.conv, spec.widths[0], n_classes, 1, bias=True)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Places]]:
        """The coarsest map (B, C_last, *T), and the places of all maxima, from the finest level on."""
        x, places = self.stages[0](x), []
        for stage, stride in zip(self.stages[1:], self.strides, strict=True):
            size = tuple(x.shape[2:])
            x, index = pooled(x, stride)
            places.append(Places(index, size))
            x = stage(x)
        return x, places

    def decode(self, coarse: Tensor, places: Sequence[Places]) -> Tensor:
        """(B, C_last, *T) and the places -> (B, K, *S) scores at the finest level."""
        x = self.decoder[-1](coarse)
        for blocks, place in zip(self.decoder[-2::-1], places[::-1], strict=True):
            x = blocks(unpooled(x, place.index, place.size))
        scores: Tensor = self.score(x)
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.decode(*self.encode(x)), x.shape[2:])


def mirrored(spec: BackboneSpec, level: int) -> nn.Sequential:
    """The convolutions of a stage backwards: the last of them has the width of the finer stage."""
    stage = spec.stages[level]
    widths = [*[stage.width] * stage.depth, spec.widths[max(level - 1, 0)]]
    block = ResidualBlock if spec.conv.residual else ConvBlock
    return nn.Sequential(*[block(spec.conv, a, b, stage.kernel) for a, b in pairwise(widths)])


SEGNET = Member("segnet", "SegNet", 2015, "encoder-decoder", SegNet, SegNet)
