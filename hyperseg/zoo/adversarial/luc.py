"""Luc et al.: a critic learns to tell the network's maps from true ones, and the network not to be told."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec
from hyperseg.core.settings import option, settings
from hyperseg.zoo.adversarial.maps import known_maps
from hyperseg.zoo.encoder_decoder.u_net import UNet
from hyperseg.zoo.member import Adversary, Member


@settings
class LucSettings:
    """Of the game."""

    weight: float = option(
        0.1, "Of what the critic says, beside the network's own loss; 0 leaves it out. 1 is harsh.", low=0, high=1e3
    )
    width: int = option(8, "Channels that the critic makes of the image, and of the map.", low=4, high=1024)


class Critic(nn.Module):
    """(B, C, *S) image, (B, K, *S) map -> (B,) logits that the map is a true one.

    Image and map get a layer each and are joined; then a layer per stride of the backbone, and the mean over what is
    left. Group norm: true maps and answers come in batches of their own, and no batch may be told by its statistics.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: LucSettings) -> None:
        super().__init__()
        conv, width = ConvSpec(spec.conv.ndim, norm="group", act="leaky_relu"), chosen.width
        self.image = ConvBlock(conv, spec.in_channels, width, 1)
        self.map = ConvBlock(conv, n_classes, width, 1)
        strides = [stage.stride for stage in spec.stages if max(stage.stride) > 1] or [(2,) * conv.ndim]
        widths = [2 * width * 2 ** min(level, 2) for level in range(len(strides) + 1)]
        self.layers = nn.Sequential(
            *(ConvBlock(conv, a, b, 3, s) for a, b, s in zip(widths[:-1], widths[1:], strides, strict=True))
        )
        self.score = Conv(conv, widths[-1], 1, 1, bias=True)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        found = self.layers(torch.cat((self.image(x), self.map(maps)), 1))
        return self.score(found).flatten(1).mean(1)


def critic_terms(
    critic: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: LucSettings
) -> Mapping[str, Tensor]:
    """BCE(D(x, y), 1) and BCE(D(x, s(x)), 0)."""
    answer, truth = known_maps(logits, labels)
    told = {"critic_true": F.softplus(-critic(x, truth)), "critic_answer": F.softplus(critic(x, answer))}
    return {term: value.mean() for term, value in told.items()}


def rival_terms(
    critic: nn.Module, x: Tensor, logits: Tensor, labels: Tensor, chosen: LucSettings
) -> Mapping[str, Tensor]:
    """weight BCE(D(x, s(x)), 1); nothing where the weight is 0."""
    if not chosen.weight:
        return {}
    return {"rival": chosen.weight * F.softplus(-critic(x, known_maps(logits, labels)[0])).mean()}


class Luc(nn.Module):
    """(B, C, *S) -> (B, K, *S): a segmenting network that is trained against a critic of whole maps.

    Defined by: a second network, the critic, sees an image with a map and says whether the map is true or an answer.
    It learns to say so, and the segmenting network, beside its own loss, to have its answers taken for true ones.
    Use: where shapes matter that a loss of single pixels does not see. Training takes two to three times as long; a
    map takes no longer, as the critic is not asked then.

    Source: Luc, Couprie, Chintala, Verbeek, "Semantic Segmentation using Adversarial Networks", arXiv 1611.08408.
    Differs: the segmenting network is a U-Net. The critic has group norm, as many strides as the backbone, and one
    answer per image, the mean over its last map; its sizes are our reconstruction. The network raises the probability
    that its answer is called true (the form that does not saturate). Unlabelled pixels are zero in both maps. The
    critic counts a tenth: with weight 1 small networks learnt worse than without it in our trials.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: LucSettings) -> None:
        super().__init__()
        self.segmenter = UNet(spec, n_classes, chosen)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.segmenter(x)
        return logits


LUC = Member(
    "luc", "Adversarial (Luc et al.)", 2016, "adversarial", Luc, Luc, LucSettings,
    adversary=Adversary(Critic, critic_terms, rival_terms),
)  # fmt: skip
