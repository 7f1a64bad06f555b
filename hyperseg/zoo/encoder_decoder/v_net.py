"""V-Net."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, UpBlock, resized
from hyperseg.backbone.blocks import Finish
from hyperseg.backbone.spec import Size
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member

MOST = 3  # convolutions of a stage


@settings
class VNetSettings:
    """What of V-Net can be chosen."""

    kernel: int = option(5, "Side of the kernels, along the axes on which the backbone's is not 1.", low=1, high=15)


class ResidualStage(nn.Module):
    """Convolutions, then what went in is added before the last activation: (B, in, *S) -> (B, width, *S).

    Args:
        in_channels: as many as `width`, or one that is added to all channels; others pass a 1x1 convolution.
        count: of convolutions.
    """

    def __init__(self, spec: ConvSpec, in_channels: int, width: int, kernel: Size, count: int) -> None:
        super().__init__()
        inputs = [in_channels, *[width] * (count - 1)]
        self.blocks = nn.Sequential(*[ConvBlock(spec, n, width, kernel) for n in inputs[:-1]])
        self.conv = Conv(spec, inputs[-1], width, kernel)
        self.finish = Finish(spec, width)
        self.project = None if in_channels in (1, width) else Conv(spec, in_channels, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.project is None else self.project(x)
        return self.finish(self.conv(self.blocks(x)), None, skip)


class VNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): residual stages of large kernels down and up, joined as in a U-Net.

    Defined by: a stage learns what is added to its input; 1, 2, 3, 3, 3 convolutions of 5 pixels a side and PReLU in
    its stages; strided convolutions go down, transposed ones up; it is trained with the Dice overlap.
    Use: volumes in which one structure fills a small part: large kernels see far, Dice needs no weights of classes.

    Source: Milletari, Navab, Ahmadi, "V-Net", arXiv 1606.04797.
    Differs: the backbone's normalisation after every convolution; a stage has no more convolutions than the backbone's
    depth, and kernels of 1 along the axes on which the backbone's are; images of several channels pass a 1x1
    convolution before they are added to the first stage. Dice is taken without squares.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: VNetSettings) -> None:
        super().__init__()
        conv = replace(spec.conv, act="prelu", residual=False)
        self.downs, self.lefts = nn.ModuleList(), nn.ModuleList()
        self.ups, self.rights = nn.ModuleList(), nn.ModuleList()
        before = spec.in_channels
        for level, stage in enumerate(spec.stages):
            kernel = tuple(chosen.kernel if k > 1 else 1 for k in stage.kernel)
            count = min(level + 1, MOST, stage.depth)
            if level or max(stage.stride) > 1:
                self.downs.append(ConvBlock(conv, before, stage.width, stage.stride, stage.stride))
                before = stage.width
            else:
                self.downs.append(nn.Identity())
            self.lefts.append(ResidualStage(conv, before, stage.width, kernel, count))
            before = stage.width
            if level < len(spec.stages) - 1:
                coarser = spec.stages[level + 1]
                coarse = coarser.width * (1 if level == len(spec.stages) - 2 else 2)
                self.ups.append(UpBlock(conv, coarse, stage.width, coarser.stride, coarser.stride))
                self.rights.append(ResidualStage(conv, 2 * stage.width, 2 * stage.width, kernel, count))
        self.score = Conv(conv, spec.widths[0] * (2 if self.ups else 1), n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        size, skips = x.shape[2:], []
        for down, left in zip(self.downs, self.lefts, strict=True):
            x = left(down(x))
            skips.append(x)
        for up, right, skip in zip(self.ups[::-1], self.rights[::-1], skips[-2::-1], strict=True):
            x = right(torch.cat((up(x, skip.shape[2:]), skip), dim=1))
        return resized(self.score(x), size)


V_NET = Member("v-net", "V-Net", 2016, "encoder-decoder", VNet, VNet, VNetSettings, loss="dice")
