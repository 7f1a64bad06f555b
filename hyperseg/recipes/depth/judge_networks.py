"""The networks of the judge: one that tells depth from a picture, one that puts depth maps in a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, Decoder, Encoder
from hyperseg.core.settings import option, required, settings

COLOURS = 3


@settings
class JudgeSpec:
    """What a judge is."""

    size: int = required("Rows and columns of its pictures.", low=8)
    z_min: float = required("Nearest depth, which is told as 1.", above=0)
    z_max: float = required("Farthest depth, which is told as 0.", above=0)
    widths: tuple[int, ...] = option((24, 48, 64, 64), "Channels of the stages, each half as large as the last.", low=1)
    code: tuple[int, ...] = option((16, 32, 32), "The same of the network that encodes depth maps.", low=1)


def _backbone(channels: int, widths: tuple[int, ...], *, residual: bool) -> BackboneSpec:
    n, conv = len(widths), ConvSpec(2, norm="group", act="silu", residual=residual)
    return BackboneSpec(
        in_channels=channels, widths=widths, strides=(2,) * n, kernels=(3,) * n, depths=(1,) * n, conv=conv
    )


class DepthNetwork(nn.Module):
    """(B, 3, s, s) pictures from -1 to 1 -> (B, s, s) logarithm of inverse depth.

    An encoder and a decoder, the first stage of which halves the picture: four numbers of the finest level are the
    four pixels there, which is four times as fast as a stage of whole size. Beside the colours it sees how much they
    change from pixel to pixel: what edges mean it learns many times faster than from colours that mean nothing.
    """

    def __init__(self, spec: JudgeSpec) -> None:
        super().__init__()
        backbone = _backbone(COLOURS + 2, spec.widths, residual=True)
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone)
        self.last = Conv(backbone.conv, spec.widths[0], 4, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:]
        fours: Tensor = self.last(self.decoder(self.encoder(_with_edges(x)))[0])
        return functional.pixel_shuffle(fours, 2)[:, 0, :rows, :columns]

    def pooled(self, x: Tensor) -> Tensor:
        """(B, widths[-1]): means of the encoder's coarsest level."""
        return self.encoder(_with_edges(x))[-1].flatten(2).mean(2)


def _with_edges(x: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 5, h, w): root of the mean change of the colours to the right and down, 0 at the end."""
    right = functional.pad(x.diff(dim=3).abs().mean(1, keepdim=True).sqrt(), (0, 1, 0, 0))
    down = functional.pad(x.diff(dim=2).abs().mean(1, keepdim=True).sqrt(), (0, 0, 0, 1))
    return torch.cat((x, right, down), 1)


class DepthCoder(nn.Module):
    """An auto-encoder of depth maps: (B, s, s) -> the same, through a coarse map and nothing beside it."""

    def __init__(self, spec: JudgeSpec) -> None:
        super().__init__()
        backbone = _backbone(1, spec.code, residual=False)
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone, skips="none")

    def forward(self, y: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(y[:, None])[-1], shape=y.shape[1:])[0][:, 0]
        return out

    def pooled(self, y: Tensor) -> Tensor:
        """(B, code[-1]): means of the coarse map."""
        return self.encoder(y[:, None])[-1].flatten(2).mean(2)
