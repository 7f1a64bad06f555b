"""DANet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, resized
from hyperseg.backbone.context.position import PositionAttention
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import Coarse
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE


@settings
class DANetSettings:
    """Settings of DANet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    auxiliary: float = option(1.0, "Weight in training of the scores of each of the two attentions alone.", low=0)


class ChannelAttention(nn.Module):
    """(B, C, *S) -> (B, C, *S): what every channel reads from all channels, those most that are like it.

    Two channels are compared by their product, summed over the N positions and divided by the root of N.
    """

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        alike = (flat * flat.shape[2] ** -0.5) @ flat.transpose(1, 2)  # (B, C, C)
        return (alike.softmax(2) @ flat).reshape(x.shape)


class Added(nn.Module):
    """x + weight * inner(x); the weight is learnt and starts at zero: a new layer changes nothing."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.weight * self.inner(x)
        return added


class DANet(nn.Module):
    """(B, C, *S) -> (B, K, *S): scores of two attentions, summed.

    Defined by: on the coarsest map, one branch in which every position reads from all positions, those most that are
    like it, and one in which every channel reads from all channels; what is read is added with a learnt weight that
    starts at zero. Scores of the sum are the answer; scores of each branch alone are learnt too.
    Use: objects of one class far apart in an image, of different sizes. The positions of the coarsest map are compared
    all with all: time grows with their number squared; memory too where torch has no fused kernel (a map of 64 x 64
    positions: 67 MB an image). Choose `output_stride` with that in mind.

    Source: Fu, Liu, Tian, Li, Bao, Fang, Lu, "Dual Attention Network for Scene Segmentation", arXiv 1809.02983.
    Differs: any encoder (the paper: a ResNet); channels are narrowed to a quarter, but not below 32; products of
    channels are divided by the root of the number of positions, as otherwise in large maps every channel reads itself
    alone; the weights of the auxiliary scores are our reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DANetSettings) -> None:
        super().__init__()
        self.coarse = Coarse(spec, chosen.output_stride, narrower=2)
        width = self.coarse.inside
        self.position = Added(PositionAttention(spec.conv, width, max(1, width // 8)))
        self.channel = Added(ChannelAttention())
        self.finish = nn.ModuleList(ConvBlock(spec.conv, width, width, self.coarse.kernel) for _ in range(2))
        self.heads = nn.ModuleList(Conv(spec.conv, width, n_classes, 1, bias=True) for _ in range(3))
        self.weights = (1.0, chosen.auxiliary, chosen.auxiliary)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.branches(x)
        return resized(self.heads[0](first + second), x.shape[2:])

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        first, second = self.branches(x)
        scores = [head(y) for head, y in zip(self.heads, (first + second, first, second), strict=True)]
        return [resized(scores[0], x.shape[2:]), *scores[1:]]

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *S) -> maps after position attention and after channel attention, (B, inside, *T) each."""
        _, (first, second) = self.coarse(x)
        return self.finish[0](self.position(first)), self.finish[1](self.channel(second))


DANET = Member("danet", "DANet", 2019, "attention", DANet, DANet, DANetSettings)
