"""EMANet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import Coarse
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE

TINY = 1e-6


@settings
class EMANetSettings:
    """Settings of EMANet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    bases: int = option(64, "Bases that an image is written with.", low=1)
    steps: int = option(3, "Steps of expectation and maximisation.", low=1)
    momentum: float = option(0.9, "Share of the first bases that is kept at every training step.", low=0, high=1)


def responsibilities(points: Tensor, bases: Tensor) -> Tensor:
    """(B, N, C) points, (B, M, C) bases -> (B, N, M): the share that each basis has in a point; shares sum to 1."""
    return (points @ bases.transpose(1, 2)).softmax(2)


def maximised(points: Tensor, shares: Tensor) -> Tensor:
    """(B, N, C) points, (B, N, M) shares -> (B, M, C): means of the points, weighed by each basis' shares."""
    return (shares / (shares.sum(1, keepdim=True) + TINY)).transpose(1, 2) @ points


class EMAttention(nn.Module):
    """(B, C, *S) -> (B, C, *S): every position written as a mixture of a few bases that EM finds in the image.

    Attributes:
        first: (M, C) bases that EM starts from, of length 1; a moving average of what it found, in training alone.
    """

    first: Tensor

    def __init__(self, channels: int, bases: int, steps: int, momentum: float) -> None:
        super().__init__()
        self.steps, self.momentum = steps, momentum
        self.register_buffer("first", F.normalize(torch.randn(bases, channels), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        points = x.flatten(2).transpose(1, 2)
        bases = self.first.to(points.dtype).repeat(len(points), 1, 1)  # a copy: the first ones may move
        for _ in range(self.steps):
            shares = responsibilities(points, bases)
            bases = F.normalize(maximised(points, shares), dim=2)
        if self.training:
            self.follow(bases)
        return (shares @ bases).transpose(1, 2).reshape(x.shape)

    @torch.no_grad()
    def follow(self, bases: Tensor) -> None:
        """Move the first bases towards the mean of the bases (B, M, C) of a batch; what is no number is left out."""
        found = bases.mean(0).to(self.first.dtype)
        found = torch.where(found.isfinite(), found, self.first)
        self.first.copy_(F.normalize(self.first * self.momentum + found * (1 - self.momentum), dim=1))


class EMANet(nn.Module):
    """(B, C, *S) -> (B, K, *S): attention to a few bases that EM finds in the image.

    Defined by: three steps of expectation (which basis has which share in a position) and maximisation (a basis is the
    mean of the positions, weighed by its shares) on the coarsest map; every position is then written as the mixture of
    bases by its shares, which takes noise away, and added to itself. EM starts from a moving average of the bases found
    in training.
    Use: context of the whole image at N x 64 products in place of N x N for N positions; large maps and volumes.

    Source: Li, Zhong, Wu, Yang, Lin, Liu, "Expectation-Maximization Attention Networks for Semantic Segmentation",
    arXiv 1907.13426.
    Differs: any encoder (the paper: a ResNet); channels are narrowed to a quarter, but not below 32; gradients go
    through the steps of EM; the moving average is brought back to length 1; no auxiliary scores.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: EMANetSettings) -> None:
        super().__init__()
        self.coarse = Coarse(spec, chosen.output_stride)
        width = self.coarse.inside
        self.before = Conv(spec.conv, width, width, 1, bias=True)
        self.attention = EMAttention(width, chosen.bases, chosen.steps, chosen.momentum)
        self.after = ConvBlock(spec.conv, width, width, 1)
        self.finish = ConvBlock(spec.conv, width, width, self.coarse.kernel)
        self.head = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        _, (y,) = self.coarse(x)
        y = y + self.after(self.attention(self.before(y)))
        return resized(self.head(self.finish(y)), x.shape[2:])


EMANET = Member("emanet", "EMANet", 2019, "attention", EMANet, EMANet, EMANetSettings)
