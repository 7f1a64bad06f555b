"""RefineNet."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, Encoder, resized, scale_weights
from hyperseg.backbone.layers import activation
from hyperseg.backbone.spec import Size
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member

START = 0.5  # weights of what is added to a map start smaller: many such sums follow each other


@settings
class RefineNetSettings:
    """Settings of RefineNet."""

    pools: int = option(2, "Poolings in a chain at every level, each over the one before.", low=1)


class RefineNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): from coarse to fine, every level of the encoder refines what the coarser ones say.

    Defined by: at every level two residual units adapt the encoder's map; it is summed with the refined coarser map,
    raised to its size; chained residual pooling adds maxima over ever larger surroundings; a residual unit ends it.
    Long and short ways without an activation lead gradients through all levels.
    Use: sharp borders where a U-Net's concatenated maps are too wide; context through pooling without dilation.

    Source: Lin, Milan, Shen, Reid, "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic
    Segmentation", arXiv 1611.06612.
    Differs: widths are the encoder's (the paper: 256, 512 at the coarsest level); convolutions are normalised as the
    backbone says (the paper: not at all), and those of residual ways start at half their usual size; one residual unit
    ends every level (the paper: three end the finest); before the sum the coarser map has a convolution alone and the
    encoder's its residual units alone (the paper: both have both); pools span 5 pixels where the level's kernel
    spans 3.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: RefineNetSettings) -> None:
        super().__init__()
        stages = spec.stages
        self.encoder = Encoder(spec)
        self.adapt = nn.ModuleList(
            nn.Sequential(*(ResidualUnit(spec.conv, s.width, s.kernel) for _ in range(2))) for s in stages
        )
        linear = replace(spec.conv, act="none")
        self.bring = nn.ModuleList(
            ConvBlock(linear, coarse.width, fine.width, fine.kernel) for fine, coarse in pairwise(stages)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(
                ChainedPooling(spec.conv, s.width, s.kernel, chosen.pools), ResidualUnit(spec.conv, s.width, s.kernel)
            )
            for s in stages
        )
        self.score = Conv(spec.conv, spec.widths[0], n_classes, 1, bias=True)
        for module in self.modules():
            if isinstance(module, ResidualUnit | ChainedPooling):
                scale_weights(module, START)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = self.encoder(x)
        refined: Tensor | None = None
        for level in reversed(range(len(pyramid))):
            y = self.adapt[level](pyramid[level])
            if refined is not None:
                y = y + resized(self.bring[level](refined), y.shape[2:])
            refined = self.refine[level](y)
        return resized(self.score(refined), x.shape[2:])


class ResidualUnit(nn.Module):
    """(B, C, *S) -> (B, C, *S): x and two convolutions of it, each after an activation."""

    def __init__(self, spec: ConvSpec, width: int, kernel: Size) -> None:
        super().__init__()
        self.act = activation(spec)
        self.blocks = nn.Sequential(
            ConvBlock(spec, width, width, kernel), ConvBlock(replace(spec, act="none"), width, width, kernel)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.blocks(_activated(self.act, x))


class ChainedPooling(nn.Module):
    """(B, C, *S) -> (B, C, *S): the activated map, and a convolution of its maxima, and of the maxima of that, ..."""

    def __init__(self, spec: ConvSpec, width: int, kernel: Size, pools: int) -> None:
        super().__init__()
        self.act = activation(spec)
        self.size = tuple(2 * (k // 2) * 2 + 1 for k in kernel)
        linear = replace(spec, act="none")
        self.convs = nn.ModuleList(ConvBlock(linear, width, width, kernel) for _ in range(pools))

    def forward(self, x: Tensor) -> Tensor:
        found = path = _activated(self.act, x)
        pool = {2: F.max_pool2d, 3: F.max_pool3d}[x.ndim - 2]
        for conv in self.convs:
            path = conv(pool(path, self.size, stride=1, padding=[k // 2 for k in self.size]))
            found = found + path
        return found


def _activated(act: nn.Module | None, x: Tensor) -> Tensor:
    """x is needed as it was, and an activation may work in place."""
    return x if act is None else act(x.clone())


REFINENET = Member("refinenet", "RefineNet", 2016, "encoder-decoder", RefineNet, RefineNet, RefineNetSettings)
