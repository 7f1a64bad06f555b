"""Noise by place: a window of a scene starts from the same noise as the scene itself does there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

CELL = 64  # pixels a side of what is drawn at a time


def noise_field(window: Sequence[tuple[int, int]], channels: int, *, seed: int, number: int) -> Tensor:
    """(channels, *window) float32 standard normal noise of a grid without end, drawn cell by cell.

    Args:
        window: half-open (start, stop) per axis, not negative.
        seed, number: of the run and of the field: others give other noise.
    """
    out = torch.empty(channels, *(stop - start for start, stop in window))
    for cell in product(*(range(start // CELL, -(-stop // CELL)) for start, stop in window)):
        mixed = np.random.SeedSequence([seed, number, *cell]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
        drawn = torch.randn(channels, *(CELL,) * len(window), generator=generator)
        to, of = [], []
        for (start, stop), k in zip(window, cell, strict=True):
            first, last = max(start, k * CELL), min(stop, (k + 1) * CELL)
            to.append(slice(first - start, last - start))
            of.append(slice(first - k * CELL, last - k * CELL))
        out[:, *to] = drawn[:, *of]
    return out
