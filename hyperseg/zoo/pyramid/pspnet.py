"""PSPNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, Pyramid, resized
from hyperseg.backbone.context.pyramid_pooling import PyramidPooling
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped


@settings
class PSPNetSettings:
    """Settings of PSPNet."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    auxiliary: float = option(
        0.4, "Weight in training of scores that are read before the last stage; 0 leaves them out.", low=0
    )


class PSPNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): the coarsest map beside its means over parts of the image.

    Defined by: pyramid pooling: the coarsest map is averaged over 1, 2, 3 and 6 parts of each axis; each mean is made
    narrower, raised to the map's size and concatenated with it. Scores before the last stage count in training.
    Use: scenes in which the surroundings tell the class, and large areas of one class.

    Source: Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", arXiv 1612.01105.
    Differs: any encoder; dilation takes the place of the last strides alone (the paper: down to stride 8, of a ResNet);
    group norm in pyramid pooling; no dropout before the scores. These choices are our reconstruction.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: PSPNetSettings) -> None:
        super().__init__()
        self.encoder = Encoder(stopped(spec, chosen.output_stride))
        last = spec.stages[-1]
        self.pooling = PyramidPooling(spec.conv, last.width)
        self.mix = ConvBlock(spec.conv, self.pooling.width, last.width, last.kernel)
        self.score = Conv(spec.conv, last.width, n_classes, 1, bias=True)
        self.before: nn.Module | None = None
        self.weights: tuple[float, ...] = (1.0,)
        if chosen.auxiliary and len(spec.stages) > 1:
            width, kernel = spec.stages[-2].width, spec.stages[-2].kernel
            self.before = nn.Sequential(
                ConvBlock(spec.conv, width, width, kernel), Conv(spec.conv, width, n_classes, 1, bias=True)
            )
            self.weights = (1.0, chosen.auxiliary)

    def forward(self, x: Tensor) -> Tensor:
        return self._answer(self.encoder(x), x)

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        pyramid = self.encoder(x)
        answer = self._answer(pyramid, x)
        return [answer] if self.before is None else [answer, self.before(pyramid[-2])]

    def _answer(self, pyramid: Pyramid, x: Tensor) -> Tensor:
        return resized(self.score(self.mix(self.pooling(pyramid[-1]))), x.shape[2:])


PSPNET = Member("pspnet", "PSPNet", 2016, "multi-scale pyramid", PSPNet, PSPNet, PSPNetSettings)
