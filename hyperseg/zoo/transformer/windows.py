"""Maps cut into windows, shifted or not, and attention within each; any number of axes, any size. How many heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone.spec import Size

OUTSIDE = -3e4  # added to the score of a place outside the map: its exponential is 0 in every precision


@dataclass(frozen=True)
class Windows:
    """How a map is cut: windows of `sides`, of which the first begins `before` pixels before the map.

    What a window has outside the map is padding.
    """

    size: Size
    sides: Size
    before: Size

    @property
    def counts(self) -> Size:
        """Windows per axis."""
        rows = zip(self.size, self.sides, self.before, strict=True)
        return tuple(-(-(n + before) // side) for n, side, before in rows)

    def cut(self, x: Tensor) -> Tensor:
        """(B, *size, C) -> (B, windows, pixels of one, C), zeros outside the map."""
        axes = range(len(self.size))
        behind = [c * w - n - b for c, w, n, b in zip(self.counts, self.sides, self.size, self.before, strict=True)]
        pads = chain.from_iterable(reversed(list(zip(self.before, behind, strict=True))))
        x = F.pad(x, (0, 0, *pads))
        x = x.reshape(len(x), *chain.from_iterable(zip(self.counts, self.sides, strict=True)), x.shape[-1])
        x = x.permute(0, *(1 + 2 * a for a in axes), *(2 + 2 * a for a in axes), x.ndim - 1)
        return x.reshape(len(x), prod(self.counts), prod(self.sides), x.shape[-1])

    def joined(self, x: Tensor) -> Tensor:
        """The reverse: (B, windows, pixels of one, C) -> (B, *size, C), without what is outside."""
        axes = len(self.size)
        x = x.reshape(len(x), *self.counts, *self.sides, x.shape[-1])
        x = x.permute(0, *chain.from_iterable((1 + a, 1 + axes + a) for a in range(axes)), x.ndim - 1)
        x = x.reshape(len(x), *(c * w for c, w in zip(self.counts, self.sides, strict=True)), x.shape[-1])
        for axis, (n, before) in enumerate(zip(self.size, self.before, strict=True), start=1):
            x = x.narrow(axis, before, n)
        return x

    def outside(self, like: Tensor) -> Tensor | None:
        """(windows, 1, 1, pixels of one): what is added to scores of these places; None where nothing is outside."""
        if prod(self.counts) * prod(self.sides) == prod(self.size):
            return None
        inside = self.cut(like.new_ones(1, *self.size, 1))[0, :, None, None, :, 0]
        return (1 - inside) * OUTSIDE


def windows_of(size: Sequence[int], side: int, *, shifted: bool) -> Windows:
    """Windows of at most `side` pixels, shifted by half of it along axes that have more than one window."""
    sides = tuple(min(side, n) for n in size)
    before = tuple(w - w // 2 if shifted and n > w > 1 else 0 for n, w in zip(size, sides, strict=True))
    return Windows(tuple(size), sides, before)


class WindowAttention(nn.Module):
    """(B, *S, C) -> (B, *S, C): every pixel reads from those of its window, weighed also by where they are.

    A learnt number for every head and every difference of places is added to the scores. Places outside the map have
    weight 0.

    Args:
        channels: C.
        heads: that share the channels.
        side: of the windows, in pixels.
        axes: of the map.
        shifted: whether windows begin half a window earlier.

    Source: Liu et al., "Swin Transformer", arXiv 2103.14030, section 3.2.
    Differs: where the paper rolls the map and masks what comes from the other side, the map is padded, and padding is
    masked: the same windows and numbers, for any size.
    """

    def __init__(self, channels: int, heads: int, side: int, axes: int, *, shifted: bool) -> None:
        super().__init__()
        self.heads, self.side, self.shifted = heads, side, shifted
        self.read, self.write = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.places = nn.Parameter(torch.empty((2 * side - 1) ** axes, heads))
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        windows = windows_of(x.shape[1:-1], self.side, shifted=self.shifted)
        query, key, value = self.read(windows.cut(x)).unflatten(3, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        scores, outside = self.bias(windows.sides), windows.outside(x)
        if outside is not None:
            scores = scores + outside
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=scores)
        joined: Tensor = windows.joined(self.write(found.transpose(2, 3).flatten(3)))
        return joined

    def bias(self, sides: Size) -> Tensor:
        """(heads, N, N) that is added to the scores of the N pixels of a window."""
        grids = torch.meshgrid(*(torch.arange(w, device=self.places.device) for w in sides), indexing="ij")
        index = torch.zeros((), dtype=torch.long, device=self.places.device)
        for grid in grids:
            place = grid.flatten()
            index = index * (2 * self.side - 1) + (place[:, None] - place[None] + self.side - 1)
        return self.places[index].permute(2, 0, 1)


def heads_of(channels: int, width: int) -> int:
    """The most heads of at least `width` channels, or one."""
    return max(h for h in range(1, max(1, channels // width) + 1) if channels % h == 0)
