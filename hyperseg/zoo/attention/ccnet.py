"""CCNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import Coarse
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE


@settings
class CCNetSettings:
    """Settings of CCNet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    recurrence: int = option(
        2, "How often the attention is applied, with the same weights: 2 reach every pixel of an image, 3 of a volume.",
        low=1,
    )  # fmt: skip


def attend_crossing(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What every position reads from those that differ from it along one axis only; itself is counted once.

    Args:
        query, key: (B, d, *S).
        value: (B, C, *S).

    Returns:
        (B, C, *S): sums of values, weighed by the softmax of products over the sum of S, less axes - 1, positions.
    """
    axes = range(1, query.ndim - 1)
    query, key, value = (x.movedim(1, -1) for x in (query, key, value))  # (B, *S, d)
    energies = []
    for axis in axes:
        lines = query.movedim(axis, -2) @ key.movedim(axis, -2).transpose(-1, -2)  # (B, others, n, n)
        if axis > 1:  # the first axis has the position itself already
            itself = torch.eye(lines.shape[-1], dtype=torch.bool, device=lines.device)
            lines = lines.masked_fill(itself, -torch.inf)
        energies.append(lines.movedim(-2, axis))  # (B, *S, n)
    weights = torch.cat(energies, -1).softmax(-1).split([e.shape[-1] for e in energies], -1)
    read = [
        (own.movedim(axis, -2) @ value.movedim(axis, -2)).movedim(-2, axis)
        for axis, own in zip(axes, weights, strict=True)
    ]
    return torch.stack(read).sum(0).movedim(-1, 1)


class CrissCross(nn.Module):
    """x + weight * what every position reads along its row and column (in a volume: along each axis).

    The weight is learnt and starts at zero. Applied twice in an image, every position has heard of every other.
    """

    def __init__(self, spec: BackboneSpec, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        self.query = Conv(spec.conv, channels, narrow, 1, bias=True)
        self.key = Conv(spec.conv, channels, narrow, 1, bias=True)
        self.value = Conv(spec.conv, channels, channels, 1, bias=True)
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight * attend_crossing(self.query(x), self.key(x), self.value(x))


class CCNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): attention along row and column, applied twice.

    Defined by: on the coarsest map every position reads from its own row and column alone, and does so again with the
    same weights: then it has reached all positions, at the cost of H + W products a position in place of H x W. The map
    before is put beside the map after.
    Use: context of the whole image on maps that are too large for attention between all positions. A map of
    64 x 64 positions needs 2 MB an image.

    Source: Huang, Wang, Wei, Huang, Shi, Liu, Huang, "CCNet: Criss-Cross Attention for Semantic Segmentation",
    arXiv 1811.11721.
    Differs: any encoder (the paper: a ResNet); in volumes lines along each of the three axes (our reconstruction; three
    times reach every position); channels are narrowed to a quarter, but not below 32; no category consistency loss and
    no auxiliary scores.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: CCNetSettings) -> None:
        super().__init__()
        self.coarse = Coarse(spec, chosen.output_stride)
        self.recurrence = chosen.recurrence
        outside, width, kernel = self.coarse.outside, self.coarse.inside, self.coarse.kernel
        self.crossing = CrissCross(spec, width)
        self.after = ConvBlock(spec.conv, width, width, kernel)
        self.join = ConvBlock(spec.conv, outside + width, width, kernel)
        self.head = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        top, (y,) = self.coarse(x)
        for _ in range(self.recurrence):
            y = self.crossing(y)
        y = self.join(torch.cat((top, self.after(y)), 1))
        return resized(self.head(y), x.shape[2:])


CCNET = Member("ccnet", "CCNet", 2019, "attention", CCNet, CCNet, CCNetSettings)
