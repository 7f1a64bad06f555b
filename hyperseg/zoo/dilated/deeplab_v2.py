"""DeepLab, the first two versions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, resized
from hyperseg.backbone.context.aspp import context_kernel, context_width
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped


@settings
class DeepLabV2Settings:
    """Settings of DeepLab v2; `branches=1,rate=12` is the field of view of version 1."""

    rate: int = option(
        2,
        "Pixels of the coarsest map between the elements of the first branch's kernel; the others have 2, 3, ... "
        "times as many. The paper has 6, for maps of 41 pixels; 2 is for maps of 9 to 16.",
        low=1,
    )
    branches: int = option(4, "Branches of ASPP, which are summed; 1 is version 1.", low=1)
    output_stride: int = option(0, OUTPUT_STRIDE, low=0)


class DeepLabV2(nn.Module):
    """(B, C, *S) -> (B, K, *S): dilation in place of the last strides, then class scores of four rates, summed.

    Defined by: atrous spatial pyramid pooling (ASPP): four branches, each a dilated 3x3 convolution and two 1x1
    convolutions that end in class scores, with rates 6, 12, 18 and 24; their scores are added. Version 1 has one
    branch: `branches=1`.
    Use: objects of several sizes, where a coarse border is enough. The paper follows it with a dense CRF, which
    sharpens borders: on scenes that is the refiner `--refine dense-crf`.

    Source: Chen, Papandreou, Kokkinos, Murphy, Yuille, "DeepLab", arXiv 1606.00915; version 1: arXiv 1412.7062.
    Differs: rates are a third of the paper's, as the windows here leave smaller maps, and a rate that is larger than
    the map leaves of a kernel its middle alone; `rate=6` gives the paper's. Widths are the backbone's, the branches
    have half of the last one; strides stop at 8 pixels, or before the last one; no scales of the image beside each
    other. All these choices are a reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DeepLabV2Settings) -> None:
        super().__init__()
        body = stopped(spec, chosen.output_stride)
        kernel, width = context_kernel(spec), context_width(spec)
        self.encoder = Encoder(body)
        self.branches = nn.ModuleList(
            nn.Sequential(
                ConvBlock(spec.conv, spec.widths[-1], width, kernel, dilation=chosen.rate * times),
                ConvBlock(spec.conv, width, width, 1),
                Conv(spec.conv, width, n_classes, 1, bias=True),
            )
            for times in range(1, chosen.branches + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        coarse = self.encoder(x)[-1]
        return resized(torch.stack([branch(coarse) for branch in self.branches]).sum(0), x.shape[2:])


DEEPLAB_V2 = Member("deeplab-v2", "DeepLab v2", 2016, "dilated", DeepLabV2, DeepLabV2, DeepLabV2Settings)
