"""EncNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import Coarse
from hyperseg.zoo.member import Member, Minimised
from hyperseg.zoo.output_stride import OUTPUT_STRIDE


@settings
class EncNetSettings:
    """Settings of EncNet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    codewords: int = option(32, "Codewords that positions are assigned to.", low=1)
    presence: float = option(0.2, "Weight of the loss that asks which classes an image holds.", low=0)


def encoded(points: Tensor, codewords: Tensor, sharpness: Tensor) -> Tensor:
    """What is left of the points beyond the codewords they are assigned to, softly, averaged over the points.

    Args:
        points: (B, N, C).
        codewords: (M, C).
        sharpness: (M,), of the assignment to each codeword by the squared distance.

    Returns:
        (B, M, C): mean over points i of a_im (point_i - codeword_m), where a_im is the softmax over m of
        -sharpness_m |point_i - codeword_m|^2.
    """
    squares = points.square().sum(2, keepdim=True) - 2 * points @ codewords.T + codewords.square().sum(1)
    shares = (-sharpness * squares).softmax(2)  # (B, N, M)
    totals = shares.transpose(1, 2) @ points - shares.sum(1)[:, :, None] * codewords
    return totals / points.shape[1]


def presence_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of which classes an image holds.

    A class that was labelled is there. One that was not is absent as surely as the image is labelled: it counts with
    the share of pixels that are. Without labels the loss is 0.

    Args:
        scores: (B, K) logits.
        labels: (B, *S), -1 unknown.
    """
    flat = labels.flatten(1)
    there = torch.stack([(flat == k).any(1) for k in range(scores.shape[1])], 1).to(scores.dtype)
    known = (flat >= 0).to(scores.dtype).mean(1, keepdim=True)
    each = F.binary_cross_entropy_with_logits(scores, there, reduction="none")
    return (torch.where(there > 0, torch.ones_like(known), known) * each).mean()


class ContextEncoding(nn.Module):
    """(B, C, *S) -> (B, C): how the map as a whole differs from learnt codewords; no order of positions matters."""

    def __init__(self, channels: int, codewords: int) -> None:
        super().__init__()
        width = (codewords * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codewords, channels).uniform_(-width, width))
        self.sharpness = nn.Parameter(torch.empty(codewords).uniform_(0, 1))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        codes = encoded(x.flatten(2).transpose(1, 2), self.codewords, self.sharpness)
        return F.relu(self.norm(codes)).mean(1)


class EncNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): channels weighed by what the whole image holds.

    Defined by: positions of the coarsest map are assigned, softly, to learnt codewords; what is left beyond them makes
    one vector of the image, its context. It gates the channels, and must say which classes the image holds: a second
    loss, in which small objects count as much as large ones.
    Use: scenes of different kinds, where the kind tells which classes to expect; small objects. With labels of a few
    pixels only, what is not labelled counts as absent with the share of pixels that are labelled.

    Source: Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal, "Context Encoding for Semantic Segmentation",
    arXiv 1803.08904.
    Differs: what is left is averaged, not summed, over positions and over codewords, and normalised by layer norm, so
    that neither the size of a window nor the other images of a batch matter; how absent classes count where pixels are
    unlabelled is ours; any encoder (the paper: a ResNet); channels are narrowed to a quarter, but not below 32; no
    auxiliary scores.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: EncNetSettings) -> None:
        super().__init__()
        self.coarse = Coarse(spec, chosen.output_stride)
        self.share = chosen.presence
        width = self.coarse.inside
        self.before = ConvBlock(spec.conv, width, width, 1)
        self.context = ContextEncoding(width, chosen.codewords)
        self.gate = nn.Linear(width, width)
        self.classes = nn.Linear(width, n_classes)
        self.head = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.answers(x)[0]

    def terms(self, x: Tensor, labels: Tensor, minimised: Minimised) -> dict[str, Tensor]:
        """The usual terms, and how wrong it is about which classes each image holds."""
        logits, classes = self.answers(x)
        return {**minimised([logits], labels, (1.0,)), "presence": self.share * presence_loss(classes, labels)}

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *S) -> (B, K, *S) logits of pixels, (B, K) logits of which classes the image holds."""
        _, (y,) = self.coarse(x)
        context = self.context(self.before(y))
        gate = self.gate(context).sigmoid()[(...,) + (None,) * (x.ndim - 2)]
        return resized(self.head(F.relu(y + y * gate)), x.shape[2:]), self.classes(context)


ENCNET = Member("encnet", "EncNet", 2018, "other", EncNet, EncNet, EncNetSettings)
