"""Adaptive histograms (CLAHE): of every part of a picture values are spread, as far as a limit of contrast allows."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 256
TILES, LEAST = 8, 4  # along each axis, and pixels of each


def equalised(x: Tensor, limit: float, *, tiles: int = TILES) -> Tensor:
    """(h, w) values within the range they had; each is told by the histograms of the four tiles around it.

    A tile maps a value to the share of its pixels below it, half of the value's own bin included. No bin of its
    histogram counts for more than `limit` times the mean bin: the excess is spread over all bins, so that contrast
    grows no more than about `limit` times. Between the middles of tiles the mappings are interpolated linearly.

    Args:
        x: a channel of a picture; of a constant one nothing changes.
        limit: 1 or more; as many as there are bins for no limit.
        tiles: along each axis, fewer where a tile would have less than `LEAST` pixels.

    Source: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV (1994).
    """
    low, span = x.min(), x.max() - x.min()
    if not span > 0:
        return x
    bins = ((x - low) / span * BINS).long().clamp_(max=BINS - 1)
    rows, columns = (max(1, min(tiles, n // LEAST)) for n in x.shape)
    tile_of_row = torch.arange(x.shape[0], device=x.device) * rows // x.shape[0]
    tile_of_column = torch.arange(x.shape[1], device=x.device) * columns // x.shape[1]
    tile = tile_of_row[:, None] * columns + tile_of_column
    counts = torch.bincount((tile * BINS + bins).flatten(), minlength=rows * columns * BINS)
    shares = counts.view(-1, BINS).to(x.dtype)
    shares = shares / shares.sum(1, keepdim=True)
    most = limit / BINS
    cut = shares.clamp(max=most)
    cut = cut + (1 - cut.sum(1, keepdim=True)) / BINS
    below = (cut.cumsum(1) - cut / 2).view(rows, columns, BINS)
    found = torch.zeros_like(x)
    for row, of_row in _around(x.shape[0], rows, x):
        for column, of_column in _around(x.shape[1], columns, x):
            found += of_row[:, None] * of_column * below[row[:, None], column, bins]
    return low + span * found


def _around(n: int, tiles: int, like: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The tiles whose middles lie before and after each of `n` pixels, and their weights; (n,) each."""
    at = ((torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) * tiles / n - 0.5).clamp(0, tiles - 1)
    before = at.floor().long()
    after = (before + 1).clamp(max=tiles - 1)
    share = at - before
    return (before, 1 - share), (after, share)
