"""FPN with a head for semantic segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, Pyramid, resized
from hyperseg.zoo.member import Member


class FeaturePyramid(nn.Module):
    """(B, C, *S) -> (B, K, *S): all levels in equal width, summed from coarse to fine, then summed once more.

    Defined by: a 1x1 convolution brings every level to one width; each is added to the coarser one, raised to its size
    (top-down sum), and smoothed by a 3x3 convolution. Every level is then raised to the finest, with a convolution
    after each step, and the sum of all is scored.
    Use: objects of very different sizes; lighter than a U-Net where the encoder is wide.

    Source: Lin et al., "Feature Pyramid Networks for Object Detection", arXiv 1612.03144; the head: Kirillov, Girshick,
    He, Dollar, "Panoptic Feature Pyramid Networks", arXiv 1901.02446.
    Differs: the width is that of the middle level, even (the papers: 256, and 128 in the head); sizes are raised
    linearly; kernels along an axis are the backbone's; the finest level is the encoder's first (the paper: stride 4).
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        kernels, conv = spec.kernels, spec.conv
        width = max(2, spec.widths[len(spec.widths) // 2] // 2 * 2)
        self.encoder = Encoder(spec)
        self.laterals = nn.ModuleList(Conv(conv, w, width, 1, bias=True) for w in spec.widths)
        self.smooth = nn.ModuleList(ConvBlock(conv, width, width, kernel) for kernel in kernels)
        # level i takes i steps to the finest; the block of a step has the kernel of the level that it leads to
        self.steps = nn.ModuleList(
            Steps(ConvBlock(conv, width, width, kernels[to]) for to in reversed(range(level)))
            for level in range(len(kernels))
        )
        self.score = Conv(conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        merged = self.merged(self.encoder(x))
        sizes = [y.shape[2:] for y in merged]
        raised = []
        for level, (smooth, steps) in enumerate(zip(self.smooth, self.steps, strict=True)):
            y = smooth(merged[level])
            raised.append(steps(y, sizes[:level][::-1]))
        return resized(self.score(torch.stack(raised).sum(0)), x.shape[2:])

    def merged(self, pyramid: Pyramid) -> Pyramid:
        """Maps of one width, fine to coarse, each with the coarser ones added."""
        found: Pyramid = []
        for lateral, y in zip(reversed(self.laterals), reversed(pyramid), strict=True):
            own: Tensor = lateral(y)
            found.append(own + resized(found[-1], own.shape[2:]) if found else own)
        return found[::-1]


class Steps(nn.ModuleList):
    """A map brought to one size after the other, with a block after each."""

    def forward(self, y: Tensor, sizes: Sequence[Sequence[int]]) -> Tensor:
        for block, size in zip(self, sizes, strict=True):
            y = block(resized(y, size))
        return y


FPN = Member("fpn", "FPN", 2016, "multi-scale pyramid", FeaturePyramid, FeaturePyramid)
