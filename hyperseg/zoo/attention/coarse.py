"""The map that attention reads: the coarsest one of an encoder, no coarser than asked, made narrower."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvBlock, Encoder
from hyperseg.zoo.output_stride import stopped

LEAST_WIDTH = 32


def inner_width(width: int) -> int:
    """A quarter of a map's channels, and not fewer than 32 where it has as many."""
    return max(min(width, LEAST_WIDTH), width // 4)


class Coarse(nn.Module):
    """(B, C, *S) -> (the encoder's coarsest map, (B, outside, *T); the same made narrower, (B, inside, *T)).

    Attributes:
        outside, inside: channels of the two.
        kernel: of the coarsest stage, for convolutions on its map.

    Raises:
        SettingError: strides that cannot stop at `output_stride`.
    """

    def __init__(self, spec: BackboneSpec, output_stride: int, *, narrower: int = 1) -> None:
        super().__init__()
        self.encoder = Encoder(stopped(spec, output_stride))
        self.outside, self.inside = spec.widths[-1], inner_width(spec.widths[-1])
        self.kernel = spec.kernels[-1]
        self.narrow = nn.ModuleList(
            ConvBlock(spec.conv, self.outside, self.inside, self.kernel) for _ in range(narrower)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        top = self.encoder(x)[-1]
        return top, [narrow(top) for narrow in self.narrow]
