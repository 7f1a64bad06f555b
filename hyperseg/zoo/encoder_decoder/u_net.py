"""U-Net."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, Decoder, Encoder, resized
from hyperseg.zoo.member import Member


class UNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): an encoder, and a decoder that reads its maps beside its own.

    Defined by: on the way up every map is raised to twice its size and joined with the encoder's map of that size.
    Use: the first thing to try: few images, small objects, sharp borders.

    Source: Ronneberger, Fischer, Brox, "U-Net", arXiv 1505.04597.
    Differs: padded convolutions and normalisation; widths and strides are the backbone's.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(spec), Decoder(spec)
        self.head = ClassHead(spec, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.head(self.decoder(self.encoder(x))), x.shape[2:])


U_NET = Member("u-net", "U-Net", 2015, "encoder-decoder", UNet, UNet)
