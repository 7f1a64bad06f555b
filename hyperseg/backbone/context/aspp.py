"""Atrous spatial pyramid pooling: one map looked at with kernels of several rates; and depthwise separable kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone.blocks import ConvBlock
from hyperseg.backbone.resize import resized
from hyperseg.backbone.spec import BackboneSpec, ConvSpec, PerAxis


class Aspp(nn.Module):
    """(B, in, *S) -> (B, width, *S): a 1x1 convolution, one of every rate and the image's mean, concatenated, then 1x1.

    A kernel of rate r takes pixels that lie r apart. Where the map is no larger than r, only its middle acts.

    Args:
        spec: of the convolutions. The mean of the image has group norm: it is one pixel.
        width: even; of every branch and of the result.
        rates: one branch each.
        kernel: of the branches with a rate.
        separable: whether these are depthwise separable.

    Source: Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution", arXiv 1706.05587, section 3.3.
    Differs: group norm of the image's mean.
    """

    def __init__(
        self, spec: ConvSpec, in_channels: int, width: int, rates: Sequence[int],
        *, kernel: PerAxis = 3, separable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        made = Separable if separable else ConvBlock
        branches: list[nn.Module] = [ConvBlock(spec, in_channels, width, 1)]
        branches += [made(spec, in_channels, width, kernel, dilation=rate) for rate in rates]
        self.branches = nn.ModuleList(branches)
        self.image = ConvBlock(replace(spec, norm="group"), in_channels, width, 1)
        self.project = ConvBlock(spec, width * (len(branches) + 1), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.image(x.mean(tuple(range(2, x.ndim)), keepdim=True))
        seen = [branch(x) for branch in self.branches]
        projected: Tensor = self.project(torch.cat((*seen, resized(mean, x.shape[2:])), dim=1))
        return projected


class Separable(nn.Module):
    """(B, in, *S) -> (B, out, *S): a kernel for every channel alone, then a 1x1 convolution, each with norm and act.

    Source: Chollet, "Xception", arXiv 1610.02357; with a norm between the two: Chen et al., arXiv 1802.02611.
    """

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, *, dilation: PerAxis = 1
    ) -> None:
        super().__init__()
        self.depthwise = ConvBlock(spec, in_channels, in_channels, kernel, dilation=dilation, groups=in_channels)
        self.pointwise = ConvBlock(spec, in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.pointwise(self.depthwise(x))
        return found


def context_kernel(spec: BackboneSpec) -> PerAxis:
    """Kernel of layers on the coarsest map: 3 along each axis that the last stage's kernel looks along, else 1."""
    return tuple(3 if k > 1 else 1 for k in spec.stages[-1].kernel)


def context_width(spec: BackboneSpec) -> int:
    """Channels of layers on the coarsest map: half of its own, at most 256, and even."""
    return max(2, min(256, spec.widths[-1] // 2) // 2 * 2)
