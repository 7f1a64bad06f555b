"""A planned U-Net: what it is built from, and how far it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec, dropout, scale_weights, seeded
from hyperseg.backbone.spec import extent
from hyperseg.core.settings import option, required, settings
from hyperseg.core.tiles import Layout
from hyperseg.medical.bridged.controls import bridged_unet
from hyperseg.medical.bridged.network import with_auxiliary
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.medical.networks import UNet
from hyperseg.medical.training import supervision
from hyperseg.zoo.member import Minimised


@settings
class UNetSpec:
    """What a U-Net of a plan is built from."""

    n_features: int = required("L, features per pixel after preprocessing.", low=1)
    n_classes: int = required("K.", low=1)
    body: BackboneSpec = required("The U-Net; it reads as many channels as two pointwise convolutions make of L.")
    tile: tuple[int, ...] = required("Sides of the windows that it is trained on and maps in, per axis.", low=1)
    pointwise: bool = option(True, "Two pointwise convolutions before it, else it reads the features themselves.")
    dropout: float = option(0.3, "Probability of dropping a feature map before the class scores.", low=0, below=1)
    initial_scale: float = option(0.2, "Spread of the initial weights, relative to He's.", above=0)
    bridged: BridgeSettings | None = option(None, "Two U-Nets in a row in its place, joined so; none is a single one.")

    @property
    def scored(self) -> int:
        """Levels of the decoder that have class scores in training: all but the coarsest."""
        return max(1, len(self.body.widths) - 1)

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the losses of the network's `levels`."""
        found = supervision(len(self.body.widths), supervised=True)[: self.scored]
        return with_auxiliary(found, auxiliary=self.bridged is not None and self.bridged.auxiliary)


class PlannedUNet(nn.Module):
    """(B, L, *S) -> (B, K, *S) logits: features made pixel by pixel, then a U-Net.

    Attributes:
        tile: sides of the windows it maps in.
        context_px: how far a decision looks, at most.
    """

    padded, margin = True, 0
    layout: Layout = "channels"

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec, self.tile = spec, spec.tile
        self.context_px = min(context_of(spec), max(spec.tile) - 1)
        flat, first = ConvSpec(spec.body.conv.ndim), spec.body.in_channels
        blocks = [ConvBlock(flat, spec.n_features, first, 1), ConvBlock(flat, first, first, 1)]
        self.collapse = nn.Sequential(*blocks) if spec.pointwise else nn.Identity()
        self.body = (
            UNet(spec.body, spec.n_classes, heads=spec.scored)
            if spec.bridged is None
            else bridged_unet(spec.body, spec.n_classes, spec.bridged, heads=spec.scored, down="stride")
        )
        self.drop = dropout(ConvSpec(spec.body.conv.ndim, dropout=spec.dropout))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.collapse(x))

    def levels(self, x: Tensor) -> list[Tensor]:
        """(B, L, *S) -> logits of every scored level, (B, K, *S_level) from fine to coarse."""
        maps = self.body.maps(self.collapse(x))
        return self.body.scores(maps if self.drop is None else [self.drop(level) for level in maps])

    def terms(self, x: Tensor, labels: Tensor, minimised: Minimised) -> Mapping[str, Tensor]:
        """The loss of its levels: (B, L, *S) features, (B, *S) labels, -1 unknown."""
        return minimised(self.levels(x), labels, self.spec.weights)


def context_of(spec: UNetSpec) -> int:
    """How many pixels away a decision may look, tiles apart; of two U-Nets the second looks at what the first saw."""
    reach = reach_of(spec.body)
    if spec.bridged is None:
        return reach
    deeper = replace(spec.body, depths=tuple(max(2, depth) for depth in spec.body.depths))  # a block after each bridge
    return reach + reach_of(deeper)


def reach_of(body: BackboneSpec) -> int:
    """How many pixels away a decision of the U-Net may look, along the axis where that is most; an upper bound."""
    far = 0
    for axis in range(body.conv.ndim):
        step, found = 1, 0
        for level, stage in enumerate(body.stages):
            step *= stage.stride[axis]
            many = len(body.convolutions(stage)) * (2 if level < len(body.widths) - 1 else 1)
            found += many * (extent(stage.kernel, stage.dilation)[axis] // 2) * step + step
        far = max(far, found)
    return far


def build(spec: UNetSpec, seed: int) -> PlannedUNet:
    """The network of `spec` with weights drawn from `seed`."""
    with seeded(seed):
        net = PlannedUNet(spec)
    scale_weights(net, spec.initial_scale)
    return net
