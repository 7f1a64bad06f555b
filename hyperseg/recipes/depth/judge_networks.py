"""The networks of the judge: one that tells depth from a picture, one that puts depth maps in a few numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, Decoder, Encoder
from hyperseg.core.settings import option, required, settings


@settings
class JudgeSpec:
    """What a judge is."""

    size: int = required("Rows and columns of its pictures.", low=8)
    z_min: float = required("Nearest depth, which is told as 1.", above=0)
    z_max: float = required("Farthest depth, which is told as 0.", above=0)
    widths: tuple[int, ...] = option((24, 48, 64, 64), "Channels of the stages, each half as large as the last.", low=1)
    code: tuple[int, ...] = option((16, 32, 32), "The same of the network that encodes depth maps.", low=1)


def _backbone(channels: int, widths: tuple[int, ...], *, residual: bool) -> BackboneSpec:
    n, conv = len(widths), ConvSpec(2, norm="batch", act="relu", residual=residual)
    return BackboneSpec(
        in_channels=channels, widths=widths, strides=(2,) * n, kernels=(3,) * n, depths=(1,) * n, conv=conv
    )


class DepthNetwork(nn.Module):
    """(B, 3, s, s) pictures from -1 to 1 -> (B, s, s) inverse depth, about 0 to 1.

    An encoder and a decoder, the first stage of which halves the picture: four numbers of the finest level are the
    four pixels there, which is four times as fast as a stage of whole size. Beside the colours it is told where in the
    picture a pixel is, as that says much of how far a floor is.
    """

    place: Tensor

    def __init__(self, spec: JudgeSpec) -> None:
        super().__init__()
        backbone = _backbone(5, spec.widths, residual=True)
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone)
        self.last = Conv(backbone.conv, spec.widths[0], 4, 1, bias=True)
        along = torch.linspace(-1, 1, spec.size)
        self.register_buffer("place", torch.stack(torch.meshgrid(along, along, indexing="ij")), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:]
        fours: Tensor = self.last(self.decoder(self.encoder(self._placed(x)))[0])
        return functional.pixel_shuffle(fours, 2)[:, 0, :rows, :columns]

    def pooled(self, x: Tensor) -> Tensor:
        """(B, widths[-1]): means of the encoder's coarsest level."""
        return self.encoder(self._placed(x))[-1].flatten(2).mean(2)

    def _placed(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.place.expand(len(x), -1, -1, -1)), 1)


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
