"""SegAN: a critic whose features of the image under the answer and under the truth should agree."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec
from hyperseg.core.settings import option, settings
from hyperseg.zoo.adversarial.maps import known_maps
from hyperseg.zoo.encoder_decoder.u_net import UNet
from hyperseg.zoo.member import Adversary, Member

SEEN = 4  # channels that the critic makes of an image before it is masked


@settings
class SegAnSettings:
    """Of the game."""

    weight: float = option(
        1.0, "Of the critic's features, beside the network's own loss; 0 leaves it out.", low=0, high=1e3
    )
    width: int = option(16, "Channels of the critic's first layer.", low=4, high=1024)


class FeatureCritic(nn.Module):
    """(B, C, *S) image, (B, K, *S) map -> features at every scale of the image under each class's mask.

    A convolution of one pixel without a bias commutes with a mask, so that the image is made to few channels before it.
    Every weight is divided by its largest singular value: the features can neither grow without limit nor fade.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: SegAnSettings) -> None:
        super().__init__()
        conv = ConvSpec(spec.conv.ndim, norm="none", act="leaky_relu", spectral_norm=True)
        self.see = Conv(conv, spec.in_channels, SEEN, 1, bias=False)
        widths = [SEEN * n_classes, *(chosen.width * 2 ** min(level, 3) for level in range(len(spec.widths)))]
        strides = [stage.stride for stage in spec.stages]
        self.layers = nn.ModuleList(
            ConvBlock(conv, a, b, 3, s) for a, b, s in zip(widths[:-1], widths[1:], strides, strict=True)
        )

    def forward(self, x: Tensor, maps: Tensor) -> list[Tensor]:
        masked = (self.see(x).unsqueeze(1) * maps.unsqueeze(2)).flatten(1, 2)
        features = [masked]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return features


def difference(critic: nn.Module, x: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """The mean over scales of the mean absolute difference of the critic's features of answer and truth."""
    answer, truth = known_maps(logits, labels)
    # both at once, as a spectral norm moves with every call
    pairs = [found.chunk(2) for found in critic(torch.cat((x, x)), torch.cat((answer, truth)))]
    return torch.stack([(a - b).abs().mean() for a, b in pairs]).mean()


def critic_terms(
    critic: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: SegAnSettings
) -> Mapping[str, Tensor]:
    """What the critic makes large, negative."""
    return {"critic": -difference(critic, x, logits, labels)}


def rival_terms(
    critic: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: SegAnSettings
) -> Mapping[str, Tensor]:
    """What the network makes small; nothing where its weight is 0."""
    return {"rival": chosen.weight * difference(critic, x, logits, labels)} if chosen.weight else {}


class SegAn(nn.Module):
    """(B, C, *S) -> (B, K, *S): a segmenting network whose answers a critic compares with the truth at many scales.

    Defined by: the critic reads the image under the mask of the truth, and under that of the answer. The network makes
    the difference of the critic's features small, in all layers together, and the critic makes it large.
    Use: where structures of several sizes matter, and few pixels of a class. Training takes about twice the time; a map
    takes none of it, as the critic is not asked then.

    Source: Xue, Xu, Zhang, Long, Huang, "SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image
    Segmentation", arXiv 1706.01805.
    Differs: the segmenting network is a U-Net, and its own loss (of pixels) is added: in the paper the critic's is the
    only one. One critic reads all classes side by side instead of one critic per class. Its weights have a spectral
    norm instead of being clipped, which keeps its features bounded without a limit to choose; it has no batch norm.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: SegAnSettings) -> None:
        super().__init__()
        self.segmenter = UNet(spec, n_classes, chosen)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.segmenter(x)
        return logits


SEGAN = Member(
    "segan", "SegAN", 2018, "adversarial", SegAn, SegAn, SegAnSettings,
    adversary=Adversary(FeatureCritic, critic_terms, rival_terms),
)  # fmt: skip
