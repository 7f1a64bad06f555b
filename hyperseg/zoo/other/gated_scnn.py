"""Gated-SCNN."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, Encoder, ResidualBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.attention.coarse import inner_width
from hyperseg.zoo.member import Member, Minimised
from hyperseg.zoo.other.borders import border_loss, borders, steepness
from hyperseg.zoo.output_stride import OUTPUT_STRIDE, stopped
from hyperseg.zoo.stages import check_stages


@settings
class GatedSCNNSettings:
    """Settings of Gated-SCNN."""

    output_stride: int = option(0, OUTPUT_STRIDE, low=0)
    stream: int = option(16, "Channels of the stream of borders.", low=1)
    rate: int = option(
        2,
        "Least of the three dilations on the coarsest map; the others are twice and 3 times it. The paper has 6, for "
        "larger maps.",
        low=1,
    )
    thickness: int = option(1, "Pixels on each side of a border between classes that belong to it.", low=1)
    border: float = option(1.0, "Weight of the loss of borders.", low=0)
    gradient: bool = option(True, "The image's own gradient stands beside the borders that are found.")


class Gate(nn.Module):
    """(B, W, *S) the stream, (B, C, *T) a map of the encoder -> (B, W, *S): the stream, let through where both say so.

    A gate between 0 and 1 is read from the two at every pixel; out comes a 1x1 convolution of stream x (1 + gate).
    """

    def __init__(self, spec: BackboneSpec, stream: int, channels: int) -> None:
        super().__init__()
        self.seen = Conv(spec.conv, channels, 1, 1, bias=True)
        self.mix = Conv(spec.conv, stream + 1, stream + 1, 1, bias=True)
        self.act = nn.ReLU()
        self.open = Conv(spec.conv, stream + 1, 1, 1, bias=True)
        self.write = Conv(spec.conv, stream, stream, 1, bias=True)

    def forward(self, stream: Tensor, deep: Tensor) -> Tensor:
        seen = resized(self.seen(deep), stream.shape[2:])
        gate = self.open(self.act(self.mix(torch.cat((stream, seen), 1)))).sigmoid()
        written: Tensor = self.write(stream * (1 + gate))
        return written


class Context(nn.Module):
    """(B, C, *T) and (B, 1, *T) borders -> (B, width, *T): dilated convolutions, the image's mean, borders."""

    def __init__(self, spec: BackboneSpec, width: int, rate: int) -> None:
        super().__init__()
        channels, kernel = spec.widths[-1], spec.kernels[-1]
        self.branches = nn.ModuleList(
            [
                ConvBlock(spec.conv, channels, width, 1),
                *(ConvBlock(spec.conv, channels, width, kernel, dilation=n * rate) for n in (1, 2, 3)),
            ]
        )
        self.whole = ConvBlock(replace(spec.conv, norm="none"), channels, width, 1)
        self.border = ConvBlock(spec.conv, 1, width, 1)
        self.join = ConvBlock(spec.conv, 6 * width, width, 1)

    def forward(self, top: Tensor, edge: Tensor) -> Tensor:
        mean = self.whole(top.mean(tuple(range(2, top.ndim)), keepdim=True)).expand(-1, -1, *top.shape[2:])
        return self.join(torch.cat([*(branch(top) for branch in self.branches), mean, self.border(edge)], 1))


class GatedSCNN(nn.Module):
    """(B, C, *S) -> (B, K, *S): a stream of its own for borders, beside the encoder.

    Defined by: from the finest map starts a narrow stream that keeps its size; at every coarser map a gate, read from
    both, says where it passes, so that it keeps borders and drops texture. It must answer where classes border on each
    other (a loss of its own, binary and weighed, as borders are rare; pixels whose labels do not tell are left out).
    Its answer joins dilated convolutions of the coarsest map; the finest map is put beside them before the scores.
    Use: thin objects and sharp borders, where labels are dense: in a scene of single labelled pixels there is hardly
    any pixel of which a border is known. The stream has the size of the finest map and costs accordingly.

    Source: Takikawa, Acuna, Jampani, Fidler, "Gated-SCNN: Gated Shape CNNs for Semantic Segmentation",
    arXiv 1907.05740.
    Differs: any encoder; dilations a third of the paper's, as maps are smaller; Sobel's gradient of the image in place
    of Canny's edges; no normalisation within gates; the loss that compares borders of the map with those of the stream
    is left out; the weight of the borders' loss is our reconstruction; so are the axes of volumes.

    Raises:
        SettingError: a backbone of one stage.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: GatedSCNNSettings) -> None:
        super().__init__()
        check_stages(spec, 2, "Gated-SCNN, whose gates read coarser stages,")
        self.chosen = chosen
        spec = stopped(spec, chosen.output_stride)
        self.encoder = Encoder(spec)
        fine, kernel, conv = spec.widths[0], spec.kernels[0], spec.conv
        self.start = ConvBlock(conv, fine, chosen.stream, 1)
        self.shapes = nn.ModuleList(ResidualBlock(conv, chosen.stream, chosen.stream, kernel) for _ in spec.widths[1:])
        self.gates = nn.ModuleList(Gate(spec, chosen.stream, width) for width in spec.widths[1:])
        self.border = Conv(conv, chosen.stream, 1, 1, bias=True)
        self.fuse = Conv(conv, 1 + chosen.gradient, 1, 1, bias=True)
        width = inner_width(spec.widths[-1])
        self.context = Context(spec, width, chosen.rate)
        self.join = ConvBlock(conv, width + fine, width, kernel)
        self.head = Conv(conv, width, n_classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.answers(x)[0]

    def terms(self, x: Tensor, labels: Tensor, minimised: Minimised) -> dict[str, Tensor]:
        """The usual terms, and how wrong the stream is about borders."""
        logits, scores = self.answers(x)
        wrong = border_loss(scores[:, 0], borders(labels, self.chosen.thickness))
        return {**minimised([logits], labels, (1.0,)), "border": self.chosen.border * wrong}

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, *S) -> (B, K, *S) logits of classes, (B, 1, *S) logits of borders."""
        fine, *deeper = self.encoder(x)
        stream = self.start(fine)
        for shape, gate, deep in zip(self.shapes, self.gates, deeper, strict=True):
            stream = gate(shape(stream), deep)
        scores = resized(self.border(stream), x.shape[2:])
        edge = scores.sigmoid()
        edge = self.fuse(torch.cat((edge, steepness(x)), 1) if self.chosen.gradient else edge).sigmoid()
        y = self.context(deeper[-1], resized(edge, deeper[-1].shape[2:]))
        y = self.join(torch.cat((resized(y, fine.shape[2:]), fine), 1))
        return resized(self.head(y), x.shape[2:]), scores


GATED_SCNN = Member("gated-scnn", "Gated-SCNN", 2019, "other", GatedSCNN, GatedSCNN, GatedSCNNSettings)
