"""OCNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, resized
from hyperseg.backbone.context.position import PositionAttention
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import Coarse
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE


@settings
class OCNetSettings:
    """Settings of OCNet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)


class OCNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): every position beside the context of the object it lies on.

    Defined by: on the coarsest map every position reads from all positions, most from those that look as if they were
    of the same object; that context is put beside the map itself, and a 1x1 convolution mixes the two. Queries are
    the keys: being of one object is mutual.
    Use: large objects whose parts look alike. Time grows with the number of positions of the coarsest map squared;
    memory too where torch has no fused kernel (a map of 64 x 64 positions: 67 MB an image).

    Source: Yuan, Huang, Guo, Zhang, Chen, Wang, "OCNet: Object Context for Semantic Segmentation", arXiv 1809.00916.
    Differs: base-OC alone, without its pyramid and ASPP variants and without the interlaced attention of the later
    version; any encoder (the paper: a ResNet); channels are narrowed to a quarter, but not below 32; values are one
    linear map and not two; no auxiliary scores.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: OCNetSettings) -> None:
        super().__init__()
        self.coarse = Coarse(spec, chosen.output_stride)
        width = self.coarse.inside
        narrow = max(1, width // 2)
        self.context = PositionAttention(spec.conv, width, narrow, shared=True, scale=narrow**-0.5)
        self.join = ConvBlock(spec.conv, 2 * width, width, 1)
        self.head = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        _, (y,) = self.coarse(x)
        y = self.join(torch.cat((self.context(y), y), 1))
        return resized(self.head(y), x.shape[2:])


OCNET = Member("ocnet", "OCNet", 2018, "attention", OCNet, OCNet, OCNetSettings)
