"""HRNet with object-contextual representations (OCR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.encoder_decoder.hrnet import Branches, joined
from hyperseg.zoo.member import Member


@settings
class HRNetOCRSettings:
    """Settings of HRNet with OCR."""

    exchanges: int = option(
        1, "Times that blocks and a fusion of all resolutions follow each other after a resolution is added.", low=1
    )
    auxiliary: float = option(0.4, "Weight in training of the scores that draw the regions.", low=0)


class HRNetOCR(nn.Module):
    """(B, C, *S) -> (B, K, *S): every pixel is told what the classes look like in this image.

    Defined by: first scores draw a soft region for every class; the mean of the features in it stands for the class.
    Each pixel attends to these K means, and scores are read from its own features beside what it was told. The first
    scores count in training.
    Use: images in which a class looks alike everywhere but differs from image to image; many parts of one class.

    Source: Yuan, Chen, Wang, "Object-Contextual Representations for Semantic Segmentation", arXiv 1909.11065, on Wang
    et al., "Deep High-Resolution Representation Learning", arXiv 1908.07919.
    Differs: branches as of our HRNet; channels are twice those of the finest branch, and half of them are compared (the
    paper: 512 and 256, about two thirds of all branches), as our finest branch has the size of the image and the
    paper's a quarter of it; means of regions have group norm, as there are only K of them.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: HRNetOCRSettings) -> None:
        super().__init__()
        self.body = Branches(spec, chosen.exchanges)
        conv, mixed, width = spec.conv, self.body.width, 2 * max(2, spec.widths[0] // 2 * 2)
        self.first = nn.Sequential(ConvBlock(conv, mixed, mixed, 1), Conv(conv, mixed, n_classes, 1, bias=True))
        self.narrow = ConvBlock(conv, mixed, width, spec.kernels[0])
        self.context = ObjectContext(conv, width)
        self.mix = ConvBlock(conv, 2 * width, width, 1)
        self.score = Conv(conv, width, n_classes, 1, bias=True)
        self.weights = (1.0, chosen.auxiliary)

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[0]

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        features = joined(self.body(x))
        first = self.first(features)
        pixels = self.narrow(features)
        told = self.context(pixels, means_of(pixels, first))
        return [resized(self.score(self.mix(torch.cat((told, pixels), dim=1))), x.shape[2:]), first]


class ObjectContext(nn.Module):
    """(B, D, *S) pixels and (B, D, K) means of regions -> (B, D, *S): what each pixel reads from all regions."""

    def __init__(self, spec: ConvSpec, width: int) -> None:
        super().__init__()
        few, half = replace(spec, norm="group"), width // 2
        self.query = nn.Sequential(ConvBlock(spec, width, half, 1), ConvBlock(spec, half, half, 1))
        self.key = nn.Sequential(ConvBlock(few, width, half, 1), ConvBlock(few, half, half, 1))
        self.value = ConvBlock(few, width, half, 1)
        self.out = ConvBlock(spec, half, width, 1)

    def forward(self, pixels: Tensor, means: Tensor) -> Tensor:
        regions = means.reshape(*means.shape, *(1,) * (pixels.ndim - 3))  # K as an axis of an image
        query, key, value = self.query(pixels), self.key(regions).flatten(2), self.value(regions).flatten(2)
        alike = query.flatten(2).transpose(1, 2) @ key * key.shape[1] ** -0.5  # (B, N, K)
        read = (alike.softmax(2) @ value.transpose(1, 2)).transpose(1, 2)
        found: Tensor = self.out(read.reshape(query.shape))
        return found


def regions_of(scores: Tensor) -> Tensor:
    """(B, K, *S) -> (B, K, N): the share of every pixel in each class's region; a region sums to 1 over the pixels."""
    return scores.flatten(2).softmax(2)


def means_of(pixels: Tensor, scores: Tensor) -> Tensor:
    """(B, D, *S), (B, K, *S) -> (B, D, K): the mean of the features in each region."""
    return pixels.flatten(2) @ regions_of(scores).transpose(1, 2)


HRNET_OCR = Member("hrnet-ocr", "HRNet + OCR", 2019, "encoder-decoder", HRNetOCR, HRNetOCR, HRNetOCRSettings)
