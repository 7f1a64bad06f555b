"""DeepLab v3."""

from __future__ import annotations

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, Encoder, resized
from hyperseg.backbone.context.aspp import Aspp, context_kernel, context_width
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped


@settings
class DeepLabV3Settings:
    """Settings of DeepLab v3."""

    rate: int = option(
        2,
        "Pixels of the coarsest map between the elements of the first dilated branch; the other two have 2 and 3 "
        "times as many. The paper has 6, for maps of 33 pixels; 2 is for maps of 9 to 16.",
        low=1,
    )
    output_stride: int = option(0, OUTPUT_STRIDE, low=0)


class DeepLabV3(nn.Module):
    """(B, C, *S) -> (B, K, *S): dilation in place of the last strides, then branches of several rates, concatenated.

    Defined by: ASPP of five branches: a 1x1 convolution, three dilated 3x3 convolutions and the mean of the whole
    image; they are concatenated and mixed by a 1x1 convolution before the scores.
    Use: objects of several sizes in images whose overall content tells something about every pixel.

    Source: Chen, Papandreou, Schroff, Adam, "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv
    1706.05587.
    Differs: rates are 2, 4 and 6, a third of the paper's 6, 12 and 18, as the windows here leave smaller maps, and a
    rate that is larger than the map leaves of a kernel its middle alone; `rate=6` gives the paper's. The mean of the
    image has group norm in place of batch norm, so that a single image can be learnt from. Widths and strides are the
    backbone's as far as to 8 pixels, or to the one before the last; no multi-grid. All these choices are a
    reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DeepLabV3Settings) -> None:
        super().__init__()
        width, rates = context_width(spec), [chosen.rate * times for times in (1, 2, 3)]
        self.encoder = Encoder(stopped(spec, chosen.output_stride))
        self.context = Aspp(spec.conv, spec.widths[-1], width, rates, kernel=context_kernel(spec))
        self.score = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.score(self.context(self.encoder(x)[-1])), x.shape[2:])


DEEPLAB_V3 = Member("deeplab-v3", "DeepLab v3", 2017, "dilated", DeepLabV3, DeepLabV3, DeepLabV3Settings)
