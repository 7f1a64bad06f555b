"""ReSeg."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, Encoder, UpBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped

KEPT = -2.0  # shift of the update gate: the share that is kept begins at an eighth
INPUT_GAIN = 5 / 3  # of tanh, which else makes the signal smaller at every sweep


@settings
class ReSegSettings:
    """Settings of ReSeg."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    layers: int = option(1, "ReNet layers; each sweeps along every axis, both ways.", low=1)
    hidden: int = option(0, "Features of one way of a sweep; 0: half the channels of the coarsest map.", low=0)


class Sweep(nn.Module):
    """(B, C, *S) -> (B, 2 hidden, *S): every line along one axis read from both ends by recurrent units.

    The first half of the channels comes from the way forward, the second from the way back.

    Args:
        channels: C.
        hidden: features of one way.
        axis: of S, along which it reads.
    """

    def __init__(self, channels: int, hidden: int, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.units = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        for name, weight in self.units.named_parameters():
            reset, update, new = weight.chunk(3)
            for gate in (reset, update, new):
                draw(gate, name)
            if "bias_ih" in name:
                nn.init.constant_(update, KEPT)

    def forward(self, x: Tensor) -> Tensor:
        lines = x.movedim(1, -1).movedim(self.axis + 1, -2)  # (B, others, n, C)
        read: Tensor = self.units(lines.flatten(0, -3))[0]
        return read.unflatten(0, lines.shape[:-2]).movedim(-2, self.axis + 1).movedim(-1, 1)


@torch.no_grad()
def draw(gate: Tensor, name: str) -> None:
    """Orthogonal between positions, so that a line keeps what it read; Xavier for what comes in; no shift."""
    if "bias" in name:
        nn.init.zeros_(gate)
    elif "_hh_" in name:
        nn.init.orthogonal_(gate)
    else:
        nn.init.xavier_normal_(gate, gain=INPUT_GAIN)


class ReSeg(nn.Module):
    """(B, C, *S) -> (B, K, *S): recurrent units sweep over the coarsest map, and what they read is raised to the image.

    Defined by: ReNet layers. A layer reads every column from both ends, then every row of what came out (in volumes
    each of the three axes in turn), so that after one layer every position has heard of all others. Transposed
    convolutions raise the map by the encoder's strides, without its finer maps.
    Use: order along an axis matters (layers of tissue, rows of a field), or the whole image is context at a cost that
    grows only with the number of positions. Lines are read step by step: slow for long ones.

    Source: Visin et al., "ReSeg: A Recurrent Neural Network-based Model for Semantic Segmentation", arXiv 1511.07053;
    Visin et al., "ReNet", arXiv 1505.00393.
    Differs: any encoder in place of VGG-16; lines of single positions, no patches of them; one layer by default, as
    wide as the coarsest map, as more of them learn slowly; three axes in volumes (our reconstruction). Gates begin
    orthogonal from position to position, Xavier for what they read, and units that keep an eighth of what they knew, so
    that a position is not blurred along its line at first: our choice.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: ReSegSettings) -> None:
        super().__init__()
        spec = stopped(spec, chosen.output_stride)
        self.encoder = Encoder(spec)
        width = spec.widths[-1]
        hidden = chosen.hidden or max(1, width // 2)
        axes = spec.conv.ndim
        inputs = [width, *[2 * hidden] * (axes * chosen.layers - 1)]
        self.sweeps = nn.Sequential(*(Sweep(n, hidden, i % axes) for i, n in enumerate(inputs)))
        self.raised, width = nn.ModuleDict(), 2 * hidden
        for level in reversed(range(len(spec.widths))):
            stage = spec.stages[level]
            if max(stage.stride) > 1:
                narrow = spec.widths[max(0, level - 1)]
                self.raised[str(level)] = UpBlock(spec.conv, width, narrow, stage.stride, stage.stride)
                width = narrow
        self.head = Conv(spec.conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = self.encoder(x)
        sizes = [x.shape[2:], *(y.shape[2:] for y in pyramid)]
        y = self.sweeps(pyramid[-1])
        for level, block in self.raised.items():
            y = block(y, sizes[int(level)])
        return resized(self.head(y), x.shape[2:])


RESEG = Member("reseg", "ReSeg", 2016, "recurrent", ReSeg, ReSeg, ReSegSettings)
