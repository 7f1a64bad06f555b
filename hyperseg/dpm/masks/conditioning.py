"""Dynamic conditional encoding: features of the image are weighted by what the noisy mask has in common with them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

EPS = 1e-5


class DynamicEncoding(nn.Module):
    """A(m_I, m_x) = (LN(m_I) * LN(m_x)) * m_I, element by element.

    Args:
        channels: C of both maps.
        norm: LN normalises every pixel over its channels ("channel"), or a map over channels and pixels ("all"); both
            learn a scale and a shift of each channel.

    Source: Wu et al., "MedSegDiff", 2023, Eq. 3; the paper says LN, and both readings are found in public code.
    Differs: the shift of LN(m_x) starts at 1. From 0, a mask that says nothing, as the feed-forward twin's, would
        multiply the image by zero: no gradient reaches a twin that is told nothing.
    """

    def __init__(self, channels: int, norm: Literal["channel", "all"]) -> None:
        super().__init__()
        self.image, self.mask = (
            ChannelNorm(channels) if norm == "channel" else nn.GroupNorm(1, channels, EPS) for _ in range(2)
        )
        nn.init.ones_(self.mask.bias)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Both (B, C, *S) -> (B, C, *S)."""
        return self.image(image) * self.mask(mask) * image


class ChannelNorm(nn.Module):
    """Layer norm of every pixel over its channels, (B, C, *S) -> (B, C, *S) float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = (one[(...,) + (None,) * (x.ndim - 2)] for one in (self.weight, self.bias))
        x = x.float()
        x = x - x.mean(1, keepdim=True)  # on a CPU four times as fast as torch.var_mean along this axis
        return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt() * scale + shift
