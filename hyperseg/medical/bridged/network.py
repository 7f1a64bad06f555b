"""`BridgedUNet`: two U-Nets in a row, decoder maps of the first bridged into the encoder of the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, Decoder, DeepSupervision, Encoder, Pyramid, Stage
from hyperseg.core import SettingError
from hyperseg.medical.bridged.settings import Act, Bridge, Reads
from hyperseg.medical.networks import PooledEncoder, pooled
from hyperseg.medical.topology import Down

AUXILIARY = 0.5  # weight of the first half's loss, where the second half's is 1


class BridgedUNet(nn.Module):
    """Two U-Nets of one shape in a row; it stands wherever `networks.UNet` stands.

    Levels of the decoder of the first are d1_0, ..., fine to coarse (the coarsest is the encoder's own). In the second,
    at every level, a block brings the map to the level's size and width, d1 of that level is concatenated or added, and
    the stage's other blocks follow, one at least. So both maps have one shape, and addition needs no further weights.

    Args:
        spec: of the encoders; the activation is replaced.
        n_classes: K, background included.
        act_first, act_second: activations of the two halves.
        bridge: "cat" sets d1 beside the second half's channels, "add" adds it to them.
        heads: finest levels of the second decoder that are scored in training; prediction reads the finest.
        auxiliary: d1_0 is scored too, as the last of `levels`; see `with_auxiliary` for its weight in a loss.
        down: how the encoders make maps smaller.
        reads: what the second U-Net's level 0 begins with: "image" (x, and d1_0 is bridged into it), or "first"
            (d1_0 in place of x, which needs no bridge at that level).

    Raises:
        SettingError: an unknown choice; "first" with a stride in level 0.

    Source: Chen et al., "Prostate Segmentation using 2D Bridged U-net", arXiv 1807.04459: two U-Nets, bridges by
    addition or concatenation, ReLU in one half and ELU in the other.
    Differs: a reconstruction. No table of its layers was at hand; which half has ReLU is unknown, and so are widths,
    norm, and where in a stage a bridge ends. No number of the paper is claimed. N-d and any size of the input are ours.
    """

    def __init__(
        self, spec: BackboneSpec, n_classes: int, *, act_first: Act = "relu", act_second: Act = "elu",
        bridge: Bridge = "cat", heads: int = 1, auxiliary: bool = False, down: Down = "stride", reads: Reads = "image",
    ) -> None:  # fmt: skip
        super().__init__()
        first, second = (replace(spec, conv=replace(spec.conv, act=act)) for act in (act_first, act_second))
        self.encoder = BridgedEncoder(first, second, bridge=bridge, down=down, reads=reads)
        self.decoder = Decoder(second, up="transpose")
        self.heads = DeepSupervision(second, n_classes, levels=range(heads))
        self.auxiliary = ClassHead(first, n_classes) if auxiliary else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S) logits: what `levels` gives first."""
        return self.heads.heads[0](self.decoder(self.encoder(x)))

    def levels(self, x: Tensor) -> list[Tensor]:
        """(B, C, *S) -> logits of every scored level, (B, K, *S_level) from fine to coarse; then of the first half."""
        pyramid, first = self.encoder.both(x)
        found: list[Tensor] = self.heads(self.decoder(pyramid))
        return found if self.auxiliary is None else [*found, self.auxiliary([first])]


class BridgedEncoder(nn.Module):
    """A U-Net without class scores, and the encoder that its decoder is bridged into: together again an encoder."""

    def __init__(
        self, first: BackboneSpec, second: BackboneSpec, *, bridge: Bridge, down: Down, reads: Reads
    ) -> None:  # fmt: skip
        super().__init__()
        for name, given, allowed in (
            ("bridge", bridge, ("cat", "add")), ("reads", reads, ("image", "first")), ("down", down, ("stride", "pool"))
        ):  # fmt: skip
            if given not in allowed:
                raise SettingError(f"{name} is {' or '.join(allowed)}, got {given!r}.")
        if reads == "first" and max(first.stages[0].stride) > 1:
            raise SettingError("where the second U-Net reads the first one's finest map, level 0 has no stride.")
        self.bridge, self.reads = bridge, reads
        self.strides = tuple(stage.stride for stage in second.stages)
        ones = ((1,) * first.conv.ndim,) * len(first.widths)
        self.pools = down == "pool"
        self.first_encoder = PooledEncoder(first) if self.pools else Encoder(first)
        self.first_decoder = Decoder(first, up="transpose")
        opening = replace(second, depths=(1,) * len(ones), attention=(), strides=ones if self.pools else self.strides)
        rest = replace(second, depths=tuple(max(1, depth - 1) for depth in second.depths), strides=ones)
        inputs = [stage.in_channels for stage in second.stages]
        joined = [width * (2 if bridge == "cat" else 1) for width in second.widths]
        if reads == "first":
            inputs[0] = joined[0] = second.widths[0]
        self.openings = nn.ModuleList(Stage(opening, level, in_channels=n) for level, n in enumerate(inputs))
        self.stages = nn.ModuleList(Stage(rest, level, in_channels=n) for level, n in enumerate(joined))

    def forward(self, x: Tensor) -> Pyramid:
        """(B, in_channels, *S) -> maps of the second encoder, (B, widths[i], *spec.sizes(S)[i]), fine to coarse."""
        return self.both(x)[0]

    def both(self, x: Tensor) -> tuple[Pyramid, Tensor]:
        """`forward`, and the first decoder's finest map (B, widths[0], *spec.sizes(S)[0])."""
        bridges: Pyramid = self.first_decoder(self.first_encoder(x))
        finest, pyramid = bridges[0], []
        if self.reads == "first":
            x = finest
        for level, (opening, stage) in enumerate(zip(self.openings, self.stages, strict=True)):
            x = opening(pooled(x, self.strides[level]) if self.pools else x)
            if level or self.reads == "image":
                x = torch.cat((x, bridges[level]), 1) if self.bridge == "cat" else x + bridges[level]
            x = stage(x)
            pyramid.append(x)
        return pyramid, finest


def with_auxiliary(weights: Sequence[float], *, auxiliary: bool) -> tuple[float, ...]:
    """Weights of the losses of `BridgedUNet.levels`: those of the second half, and `AUXILIARY` for the first; same sum.

    Args:
        weights: of the levels of the second half alone.
        auxiliary: whether there is the first half's.
    """
    if not auxiliary:
        return tuple(weights)
    total = sum(weights)
    return tuple(weight / (1 + AUXILIARY) for weight in (*weights, AUXILIARY * total))
