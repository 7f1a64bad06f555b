"""ENet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec, ConvTranspose, UpBlock
from hyperseg.backbone.context.unpool import pooled, unpooled
from hyperseg.backbone.spec import Size
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member

NARROWER = 4  # times fewer channels inside a bottleneck
REGULAR = 4  # bottlenecks of a level between the finest and the coarsest


@settings
class ENetSettings:
    """Settings of ENet."""

    repeats: int = option(2, "Times that the coarsest level's eight bottlenecks follow each other.", low=1)
    rate: int = option(
        2,
        "The smallest dilation on the coarsest map; the others are 2, 4 and 8 times as large. Where that map has fewer "
        "pixels a side than a dilation, of its kernels the middle alone acts.",
        low=1,
    )


class ENet(nn.Module):
    """(B, C, *S) -> (B, K, *S): narrow bottlenecks on coarse maps, and a short decoder that puts maxima back.

    Defined by: every block is a bottleneck: 1x1 to a quarter of the channels, a kernel, 1x1 back, beside a skip. On the
    coarsest map the kernels alternate: 3x3, dilated (2, 4, 8, 16), and asymmetric (5x1, then 1x5). On the way down the
    skip is a maximum, on the way up its values go back to where these maxima were. Activations have a learnt slope.
    Use: when a map must be fast, and on small computers.

    Source: Paszke, Chaurasia, Kim, Culurciello, "ENet", arXiv 1606.02147.
    Differs: the first block is one convolution, without a maximum of the input's channels beside it, of which a scene
    has hundreds; widths and strides are the backbone's, dropout too; slopes are one a layer; transposed kernels are as
    large as the stride. Volumes have an asymmetric kernel for each axis; bottlenecks of one size start as the identity.
    A reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: ENetSettings) -> None:
        super().__init__()
        conv = replace(spec.conv, act="prelu", residual=False)
        first, *later = spec.stages
        self.start = ConvBlock(conv, spec.in_channels, first.width, first.kernel, first.stride)
        self.downs = nn.ModuleList(Down(conv, s.in_channels, s.width, s.stride, looks(s.kernel)) for s in later)
        between = [nn.Sequential(*regular(conv, s.width, looks(s.kernel), REGULAR)) for s in later[:-1]]
        coarsest = coarse_blocks(conv, spec.widths[-1], looks(spec.stages[-1].kernel), chosen)
        self.stages = nn.ModuleList([*between, nn.Sequential(*coarsest)])
        self.ups = nn.ModuleList(Up(conv, s.width, s.in_channels, s.stride) for s in later)
        self.refine = nn.ModuleList(
            nn.Sequential(*regular(conv, s.width, looks(s.kernel), 1 if level == 0 else 2))
            for level, s in enumerate(spec.stages[:-1])
        )
        self.score = ConvTranspose(conv, first.width, n_classes, first.stride, first.stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        size, x, kept = x.shape[2:], self.start(x), []
        if not len(self.downs):
            x = self.stages[0](x)
        for down, stage in zip(self.downs, self.stages, strict=False):
            before = x.shape[2:]
            x, places = down(x)
            x = stage(x)
            kept.append((places, before))
        for up, refine, (places, before) in zip(reversed(self.ups), reversed(self.refine), reversed(kept), strict=True):
            x = refine(up(x, places, before))
        logits: Tensor = self.score(x, size)
        return logits


class Bottleneck(nn.Module):
    """(B, C, *S) -> (B, C, *S): x + what kernels on a quarter of the channels find; nothing at first.

    Source: Goyal et al., arXiv 1706.02677, section 5.1: the last norm's scale starts at 0; not in ENet's paper.
    """

    def __init__(self, spec: ConvSpec, channels: int, kernels: Sequence[Size], *, dilation: int = 1) -> None:
        super().__init__()
        inside = narrow(channels)
        last = ConvBlock(replace(spec, act="none"), inside, channels, 1)
        if last.finish.norm is not None:  # thirty sums in a row would double the signal as often
            nn.init.zeros_(last.finish.norm.get_parameter("weight"))
        self.found = nn.Sequential(
            ConvBlock(spec, channels, inside, 1),
            *(ConvBlock(spec, inside, inside, kernel, dilation=dilation) for kernel in kernels),
            last,
        )
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(x + self.found(x))
        return y


class Down(nn.Module):
    """(B, in, *S) -> (B, out, *T) and the places of the maxima of its skip; new channels are zeros there."""

    def __init__(self, spec: ConvSpec, in_channels: int, out_channels: int, stride: Size, kernel: Size) -> None:
        super().__init__()
        inside = narrow(out_channels)
        self.stride, self.more = stride, out_channels - in_channels
        self.found = nn.Sequential(
            ConvBlock(spec, in_channels, inside, stride, stride),
            ConvBlock(spec, inside, inside, kernel),
            ConvBlock(replace(spec, act="none"), inside, out_channels, 1),
        )
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        largest, places = pooled(x, self.stride)
        skip = F.pad(largest, (0, 0) * (x.ndim - 2) + (0, self.more))  # fewer channels below: the last are left out
        return self.act(skip + self.found(x)), places


class Up(nn.Module):
    """(B, in, *T) -> (B, out, *S): the skip is put back to the places of the maxima of a map of size S."""

    def __init__(self, spec: ConvSpec, in_channels: int, out_channels: int, stride: Size) -> None:
        super().__init__()
        inside, linear = narrow(out_channels), replace(spec, act="none")
        self.skip = ConvBlock(linear, in_channels, out_channels, 1)
        self.narrow = ConvBlock(spec, in_channels, inside, 1)
        self.raised = UpBlock(spec, inside, inside, stride, stride)
        self.widen = ConvBlock(linear, inside, out_channels, 1)
        self.act = nn.PReLU()

    def forward(self, x: Tensor, places: Tensor, size: Size) -> Tensor:
        found = self.widen(self.raised(self.narrow(x), size))
        y: Tensor = self.act(unpooled(self.skip(x), places, size) + found)
        return y


def coarse_blocks(spec: ConvSpec, channels: int, kernel: Size, chosen: ENetSettings) -> list[nn.Module]:
    """Regular, dilated, asymmetric, dilated, and again with wider dilations; as often as `repeats` says."""
    axes = [axis for axis, k in enumerate(kernel) if k > 1]
    asymmetric = [tuple(5 if a == axis else 1 for a in range(len(kernel))) for axis in axes] or [kernel]
    blocks: list[nn.Module] = []
    for rate in (chosen.rate, 4 * chosen.rate) * chosen.repeats:
        blocks += [
            Bottleneck(spec, channels, [kernel]),
            Bottleneck(spec, channels, [kernel], dilation=rate),
            Bottleneck(spec, channels, asymmetric),
            Bottleneck(spec, channels, [kernel], dilation=2 * rate),
        ]
    return blocks


def regular(spec: ConvSpec, channels: int, kernel: Size, count: int) -> list[nn.Module]:
    """`count` bottlenecks."""
    return [Bottleneck(spec, channels, [kernel]) for _ in range(count)]


def looks(kernel: Size) -> Size:
    """3 along every axis that a stage's kernel looks along, else 1."""
    return tuple(3 if k > 1 else 1 for k in kernel)


def narrow(channels: int) -> int:
    """Channels inside a bottleneck of `channels`."""
    return max(2, channels // NARROWER)


ENET = Member("enet", "ENet", 2016, "dilated", ENet, ENet, ENetSettings)
