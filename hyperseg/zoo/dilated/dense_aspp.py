"""DenseASPP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, resized
from hyperseg.backbone.context.aspp import context_kernel
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped

TIMES = (1, 2, 4, 6, 8)


@settings
class DenseAsppSettings:
    """Settings of DenseASPP."""

    rate: int = option(
        1,
        "Pixels of the coarsest map between the elements of the first dilated kernel; the others have 2, 4, 6 and 8 "
        "times as many. The paper has 3, for maps of 64 pixels; 1 is for maps of 9 to 16.",
        low=1,
    )
    output_stride: int = option(0, OUTPUT_STRIDE, low=0)


class DenseAspp(nn.Module):
    """(B, C, *S) -> (B, K, *S): dilated convolutions of growing rates, each reading all that came before it.

    Defined by: five layers with rates 3, 6, 12, 18 and 24 in a dense block: each is a 1x1 convolution to half the
    channels and a dilated 3x3 convolution, and reads the encoder's map and the results of all layers before. So many
    scales are seen, and no pixel between the elements of a large kernel is left out.
    Use: objects of very different sizes; more even than ASPP at one pixel's neighbours.

    Source: Yang, Yu, Zhang, Li, Yang, "DenseASPP for Semantic Segmentation in Street Scenes", CVPR 2018.
    Differs: rates are 1, 2, 4, 6 and 8, a third of the paper's, as the windows here leave smaller maps; `rate=3` gives
    the paper's. Every layer adds a quarter of the encoder's channels (in the paper an eighth, of a much wider one); the
    norm follows each convolution instead of preceding it; no dropout but the backbone's. All these choices are a
    reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DenseAsppSettings) -> None:
        super().__init__()
        conv, width, kernel = spec.conv, spec.widths[-1], context_kernel(spec)
        self.encoder = Encoder(stopped(spec, chosen.output_stride))
        half, more = max(2, width // 2), max(2, width // 4)
        self.layers = nn.ModuleList(
            nn.Sequential(
                ConvBlock(conv, width + i * more, half, 1),
                ConvBlock(conv, half, more, kernel, dilation=chosen.rate * times),
            )
            for i, times in enumerate(TIMES)
        )
        self.score = Conv(conv, width + len(TIMES) * more, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.encoder(x)[-1]
        for layer in self.layers:
            seen = torch.cat((seen, layer(seen)), dim=1)
        return resized(self.score(seen), x.shape[2:])


DENSE_ASPP = Member("dense-aspp", "DenseASPP", 2018, "dilated", DenseAspp, DenseAspp, DenseAsppSettings)
