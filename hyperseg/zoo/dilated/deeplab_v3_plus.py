"""DeepLab v3+."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, resized
from hyperseg.backbone.context.aspp import Aspp, Separable, context_kernel, context_width
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped


@settings
class DeepLabV3PlusSettings:
    """Settings of DeepLab v3+."""

    rate: int = option(
        2,
        "Pixels of the coarsest map between the elements of the first dilated branch; the other two have 2 and 3 "
        "times as many. The paper has 6, for maps of 33 pixels; 2 is for maps of 9 to 16.",
        low=1,
    )
    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    skip: int = option(48, "Channels that the fine level is reduced to; fewer where it has fewer.", low=1)


class DeepLabV3Plus(nn.Module):
    """(B, C, *S) -> (B, K, *S): DeepLab v3 with depthwise separable kernels and a fine level before the scores.

    Defined by: what ASPP found is raised to a fine level of the encoder, concatenated with that level reduced to 48
    channels, and refined by two 3x3 convolutions. Dilated and refining convolutions are depthwise separable.
    Use: as DeepLab v3, where borders count too. The first of this family to try.

    Source: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image
    Segmentation", arXiv 1802.02611.
    Differs: rates are 2, 4 and 6, a third of the paper's, as the windows here leave smaller maps; `rate=6` gives the
    paper's. The fine level is the coarsest whose pixels are at most a quarter as wide as those of the coarsest map (in
    the paper 4 of 16 pixels), or the finest. The encoder is the backbone, its convolutions are not separable; the
    strides stop at 8 pixels, or before the last one; group norm of the image's mean. All these choices are a
    reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DeepLabV3PlusSettings) -> None:
        super().__init__()
        body = stopped(spec, chosen.output_stride)
        kernel, width = context_kernel(spec), context_width(spec)
        self.encoder = Encoder(body)
        self.level = fine_level(body)
        fine = spec.widths[self.level]
        rates = [chosen.rate * times for times in (1, 2, 3)]
        self.context = Aspp(spec.conv, spec.widths[-1], width, rates, kernel=kernel, separable=True)
        self.reduce = ConvBlock(spec.conv, fine, min(chosen.skip, fine), 1)
        self.refine = nn.Sequential(
            Separable(spec.conv, width + min(chosen.skip, fine), width, kernel),
            Separable(spec.conv, width, width, kernel),
        )
        self.score = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = self.encoder(x)
        fine = self.reduce(pyramid[self.level])
        raised = resized(self.context(pyramid[-1]), fine.shape[2:])
        return resized(self.score(self.refine(torch.cat((raised, fine), dim=1))), x.shape[2:])


def fine_level(spec: BackboneSpec) -> int:
    """The coarsest level whose pixels are at most a quarter as wide as the coarsest map's, or the finest."""
    width, widths = 1, []
    for stage in spec.stages:
        width *= max(stage.stride)
        widths.append(width)
    return max((level for level, w in enumerate(widths) if 4 * w <= widths[-1]), default=0)


DEEPLAB_V3_PLUS = Member(
    "deeplab-v3-plus", "DeepLab v3+", 2018, "dilated", DeepLabV3Plus, DeepLabV3Plus, DeepLabV3PlusSettings
)
