"""FCN-32s, FCN-16s and FCN-8s."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, ConvTranspose, Encoder, resized
from hyperseg.backbone.spec import Size
from hyperseg.core.words import counted
from hyperseg.zoo.member import Member
from hyperseg.zoo.stages import check_stages


class FCN(nn.Module):
    """(B, C, *S) -> (B, K, *S): class scores of the coarsest map and of `skips` finer ones, raised and summed.

    Defined by: a 1x1 convolution scores the classes on a level of the encoder; scores, not features, are raised by a
    transposed convolution that starts as bilinear interpolation, and the scores of the next finer level are added.
    Use: a first network to compare with: few parameters beyond the encoder; borders are as coarse as the finest level
    that is scored.

    Source: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", arXiv 1411.4038.
    Differs: the encoder is the backbone, and its coarsest stage takes the place of the fully connected layers that
    became convolutions; so 32, 16 and 8 are its strides only where it has five halvings. As in the paper the scores of
    finer levels start at zero, and the last step up is interpolation that is not learnt.

    Args:
        skips: finer levels that are scored beside the coarsest.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any, *, skips: int) -> None:
        super().__init__()
        stages = spec.stages
        check_stages(spec, skips + 1, f"an FCN that scores {counted(skips + 1, 'level')}")
        self.encoder = Encoder(spec)
        self.heads = nn.ModuleList(ClassHead(spec, n_classes, level=-1 - i) for i in range(skips + 1))
        for head in self.heads[1:]:
            for parameter in head.parameters():
                nn.init.zeros_(parameter)
        self.ups = nn.ModuleList(bilinear(spec.conv, n_classes, stages[-1 - i].stride) for i in range(skips))
        finest = stages[: len(stages) - skips]
        self.stride = tuple(prod(stage.stride[axis] for stage in finest) for axis in range(spec.conv.ndim))

    def forward(self, x: Tensor) -> Tensor:
        pyramid = self.encoder(x)
        scores: Tensor = self.heads[0](pyramid)
        for up, head in zip(self.ups, self.heads[1:], strict=True):
            finer = head(pyramid)
            scores = finer + up(scores, finer.shape[2:])
        scores = resized(scores, [n * s for n, s in zip(scores.shape[2:], self.stride, strict=True)])
        for axis, n in enumerate(x.shape[2:], start=2):  # the last cell of an axis may reach beyond the image
            scores = scores.narrow(axis, 0, n)
        return scores


def bilinear(spec: ConvSpec, channels: int, stride: Size) -> ConvTranspose:
    """A transposed convolution that starts as linear interpolation, each channel by itself.

    Away from the border it gives what `resized` gives for a map `stride` times as large; at the border zeros follow.
    """
    up = ConvTranspose(spec, channels, channels, tuple(2 * s - s % 2 for s in stride), stride, bias=False)
    kernel = torch.ones(())
    for side, s in zip(up.window.kernel, stride, strict=True):
        away = (torch.arange(side) - (side - 1) / 2).abs()
        kernel = kernel[..., None] * (1 - away / s)
    weight = up.layer.weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.copy_((torch.eye(channels)[:, :, None] * kernel.flatten()).view_as(weight))
    return up


FCN_32S = Member("fcn-32s", "FCN-32s", 2015, "fully convolutional", FCN, partial(FCN, skips=0))
FCN_16S = Member("fcn-16s", "FCN-16s", 2015, "fully convolutional", FCN, partial(FCN, skips=1))
FCN_8S = Member("fcn-8s", "FCN-8s", 2015, "fully convolutional", FCN, partial(FCN, skips=2))
