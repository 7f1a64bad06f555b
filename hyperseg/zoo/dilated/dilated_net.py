"""The dilated network of Yu and Koltun, without strides and without padding."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, Encoder
from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member


@settings
class DilatedNetSettings:
    """Settings of the dilated network."""

    margin: int = option(
        12,
        "Pixels that it may look at on each side of a pixel: dilations are cut until it looks no farther, but never "
        "below 1.",
        low=1,
    )


class DilatedNet(nn.Module):
    """(B, C, *S) -> (B, K, *(S - 2 margin)): convolutions whose dilation doubles from stage to stage, and no padding.

    Defined by: no strides and no pooling; dilations 1, 1, 2, 4, 8, ... give a field of view that grows exponentially
    with the number of layers while the map keeps its resolution. Nothing is padded: a pixel's answer is the same number
    in a patch around it and in the whole scene (with batch norm; instance norm looks at the whole map).
    Use: where a map must be exact, or where the distance that a decision looks must be known: `margin` pixels.

    Source: Yu, Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", arXiv 1511.07122, the context module.
    Differs: there is no front end of a VGG: the stages of the backbone, one block each, are the context module; their
    strides become dilations; even kernels become odd; dilations are cut so that the network looks no farther than the
    setting `margin`. The identity initialisation is left out, for there are norms. A reconstruction.

    Attributes:
        margin: pixels lost on each side, of every axis alike.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DilatedNetSettings) -> None:
        super().__init__()
        body = unpadded(spec, chosen.margin)
        self.encoder = Encoder(body)
        self.score = Conv(body.conv, body.widths[-1], n_classes, 1, bias=True)
        self.margin = max(body.margin)
        self.more = tuple(self.margin - m for m in body.margin)

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) <= 2 * self.margin:
            raise SettingError(
                f"an image of {' x '.join(map(str, x.shape[2:]))} pixels is too small for a network without padding "
                f"that looks {self.margin} pixels far: give at least {2 * self.margin + 1} pixels a side."
            )
        logits: Tensor = self.score(self.encoder(x)[-1])
        for axis, more in enumerate(self.more, start=2):  # along which smaller kernels look less far
            logits = logits.narrow(axis, more, logits.shape[axis] - 2 * more)
        return logits


def unpadded(spec: BackboneSpec, margin: int) -> BackboneSpec:
    """The backbone with dilations for strides, one block a stage and no padding, that loses at most `margin` pixels.

    Where even dilations of 1 lose more, it is that one.
    """
    kernels = tuple(tuple(k + 1 - k % 2 for k in stage.kernel) for stage in spec.stages)
    conv = replace(spec.conv, padding="valid")
    plain = replace(spec, conv=conv, kernels=kernels, depths=(1,) * len(kernels), attention=())
    most = plain.at_output_stride(1)
    largest = max(max(stage.dilation) for stage in most.stages)
    for bound in range(largest, 0, -1):
        dilations = tuple(tuple(min(d, bound) for d in stage.dilation) for stage in most.stages)
        found = replace(most, dilations=dilations)
        if max(found.margin) <= margin:
            break
    return found


DILATED_NET = Member(
    "dilated-net", "dilated network", 2015, "dilated", DilatedNet, DilatedNet, DilatedNetSettings, padded=False
)
