"""Projection heads: what the losses read. They are dropped after the training without labels."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from hyperseg.backbone.blocks import ConvBlock
from hyperseg.backbone.conv import Conv
from hyperseg.backbone.spec import ConvSpec


class GlobalHead(nn.Module):
    """An embedding of a whole slice or volume: mean over all positions, two linear maps with ReLU between.

    Source: Chaitanya et al. 2020; widths and no biases as in the authors' code.
    Differs: they lay the coarsest map end to end, which ties the head to one size of input. The mean is ours.
    """

    def __init__(self, channels: int, hidden: int = 1024, out: int = 128) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, out, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, *S) -> (B, out)."""
        found: Tensor = self.project(x.flatten(2).mean(2))
        return found


class LocalHead(nn.Module):
    """A vector at every position: a 1 x 1 convolution with norm and activation, then a linear one.

    Args:
        spec: norm and activation are taken from it; no dropout, no condition.
        channels: of the map, and of the layer between.
        out: length of the vectors; None takes `channels`.

    Source: Chaitanya et al. 2020, section 3.2.
    """

    def __init__(self, spec: ConvSpec, channels: int, out: int | None = None) -> None:
        super().__init__()
        plain = replace(spec, dropout=0.0, cond_dim=0, residual=False)
        self.mix = ConvBlock(plain, channels, channels, 1)
        self.project = Conv(plain, channels, out or channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, *S) -> (B, out, *S)."""
        found: Tensor = self.project(self.mix(x))
        return found
