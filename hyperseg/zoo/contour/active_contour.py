"""A U-Net that learns with the active contour loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec
from hyperseg.zoo.encoder_decoder.u_net import UNet
from hyperseg.zoo.member import Member


class ActiveContour(nn.Module):
    """(B, C, *S) -> (B, K, *S): a U-Net that is trained as contours evolve: short borders, regions that agree.

    Defined by: its loss, the length of all borders between classes plus the regions where answer and truth disagree.
    Use: where maps come out speckled or with ragged borders, and a smooth border is right. Thin structures lose by it.

    Source: Chen, Williams, Vallabhaneni, Czanner, Williams, Zheng, "Learning Active Contour Models for Medical Image
    Segmentation", CVPR 2019.
    Differs: the network is the plain U-Net. The loss is `active-contour` of the table of losses, which any network can
    have: of several classes, per labelled pixel, with cross-entropy added.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        self.segmenter = UNet(spec, n_classes, chosen)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.segmenter(x)
        return logits


ACTIVE_CONTOUR = Member(
    "active-contour", "Active contour loss", 2019, "active contour", ActiveContour, ActiveContour, loss="active-contour"
)
