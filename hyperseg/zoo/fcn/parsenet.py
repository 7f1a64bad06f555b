"""ParseNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, Encoder, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member


@settings
class ParseNetSettings:
    """What of ParseNet can be chosen."""

    levels: int = option(
        3, "Levels of the encoder that are scored, from the coarsest on; no more than there are.", low=1
    )
    scale: float = option(10.0, "Length that vectors of features have at the start of training.", above=0)


class UnitScaled(nn.Module):
    """Every pixel's vector of features divided by its length, times a learnt number per channel.

    Args:
        channels: C.
        scale: of all channels at the start.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        return F.normalize(x, dim=1) * self.scale.view(-1, *(1,) * (x.ndim - 2))


class Glance(nn.Module):
    """Class scores of a map that stands beside its own mean over the image: (B, C, *S) -> (B, K, *S)."""

    def __init__(self, spec: BackboneSpec, level: int, n_classes: int, scale: float) -> None:
        super().__init__()
        width = spec.widths[level]
        self.local, self.whole = UnitScaled(width, scale), UnitScaled(width, scale)
        self.score = Conv(spec.conv, 2 * width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.whole(x.mean(tuple(range(2, x.ndim)), keepdim=True))
        scores: Tensor = self.score(torch.cat((self.local(x), mean.expand_as(x)), dim=1))
        return scores


class ParseNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): each of the coarser levels beside its mean over the whole image, scored and summed.

    Defined by: the mean of a map over the image is put beside every pixel of it; as both are of very different size,
    each is first divided by its length and multiplied by learnt numbers; levels are joined the same way.
    Use: where the kind of scene decides what a region is; it costs next to nothing beyond an FCN.

    Source: Liu, Rabinovich, Berg, "ParseNet: Looking Wider to See Better", arXiv 1506.04579.
    Differs: which levels are read, and that their scores are raised and summed, is a reconstruction, as is the length
    at the start; maps and widths are the backbone's.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: ParseNetSettings) -> None:
        super().__init__()
        self.encoder = Encoder(spec)
        levels = range(len(spec.widths))[-chosen.levels :]
        self.glances = nn.ModuleList(Glance(spec, level, n_classes, chosen.scale) for level in levels)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.encoder(x)[-len(self.glances) :]
        scores: Tensor = self.glances[-1](maps[-1])
        for glance, finer in zip(self.glances[-2::-1], maps[-2::-1], strict=True):
            scores = resized(scores, finer.shape[2:]) + glance(finer)
        return resized(scores, x.shape[2:])


PARSENET = Member("parsenet", "ParseNet", 2015, "fully convolutional", ParseNet, ParseNet, ParseNetSettings)
