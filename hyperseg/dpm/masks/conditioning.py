"""Dynamic conditional encoding: features of the image are weighted by what the noisy mask has in common with them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LayerNorm = Literal["channel", "all"]
EPS = 1e-5


class DynamicEncoding(nn.Module):
    """A(m_I, m_x) = (LN(m_I) * LN(m_x)) * m_I, element by element.

    Args:
        channels: C of both maps.
        norm: "channel" normalises every pixel over its channels, and learns a scale and a shift of each channel; "all"
            normalises a map over channels and pixels and learns nothing.

    Source: Wu et al., "MedSegDiff", 2023, Eq. 3.
    Differs: the paper says LN; both readings are found in public code. The shift of LN(m_x) starts at 1, so that a mask
        that says nothing (that of the feed-forward twin) lets the image through.
    """

    def __init__(self, channels: int, norm: LayerNorm) -> None:
        super().__init__()
        self.image: nn.Module = ChannelNorm(channels) if norm == "channel" else MapNorm()
        self.mask: nn.Module = ChannelNorm(channels, shift=1.0) if norm == "channel" else MapNorm()

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Both (B, C, *S) -> (B, C, *S)."""
        return self.image(image) * self.mask(mask) * image


class ChannelNorm(nn.Module):
    """Layer norm of every pixel over its channels, (B, C, *S) -> (B, C, *S)."""

    def __init__(self, channels: int, *, shift: float = 0.0) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.full((channels,), shift))

    def forward(self, x: Tensor) -> Tensor:
        spread, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        scale, shift = (weight[(...,) + (None,) * (x.ndim - 2)] for weight in (self.scale, self.shift))
        return (x - mean) * (spread + EPS).rsqrt() * scale + shift


class MapNorm(nn.Module):
    """Layer norm over channels and pixels, (B, C, *S) -> (B, C, *S)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:], eps=EPS)
