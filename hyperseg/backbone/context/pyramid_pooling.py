"""Pyramid pooling: a map beside its means over few and over many parts of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone.blocks import ConvBlock
from hyperseg.backbone.resize import resized
from hyperseg.backbone.spec import ConvSpec

BINS = (1, 2, 3, 6)
POOLS: dict[int, Callable[[Tensor, Any], Tensor]] = {
    1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d
}  # fmt: skip


class PyramidPooling(nn.Module):
    """(B, in, *S) -> (B, width, *S): the map itself, then its means, each made narrower and raised to S.

    Args:
        spec: of the convolutions; they have group norm, as a mean over the whole image is one pixel.
        bins: parts of every axis, a branch each; an axis of fewer pixels has a part for each pixel.

    Attributes:
        width: channels of the result: in, and for each branch in / bins.

    Source: Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", arXiv 1612.01105, section 3.2.
    Differs: group norm; an even number of channels a branch.
    """

    def __init__(self, spec: ConvSpec, in_channels: int, *, bins: Sequence[int] = BINS) -> None:
        super().__init__()
        self.bins = tuple(bins)
        narrow = max(2, in_channels // len(self.bins) // 2 * 2)
        grouped = replace(spec, norm="group")
        self.branches = nn.ModuleList(ConvBlock(grouped, in_channels, narrow, 1) for _ in self.bins)
        self.width = in_channels + narrow * len(self.bins)

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.branches, self.bins, strict=True)
        return torch.cat((x, *(resized(branch(pooled(x, n)), x.shape[2:]) for branch, n in pairs)), dim=1)


def pooled(x: Tensor, bins: int) -> Tensor:
    """(B, C, *S) -> (B, C, *T) means over `bins` parts of every axis, T <= bins, nearly equal and perhaps overlapping.

    Part i of n pixels runs from floor(i n / bins) to ceil((i + 1) n / bins).
    """
    size = tuple(min(bins, n) for n in x.shape[2:])
    return POOLS[len(size)](x, size)
