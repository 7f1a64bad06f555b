"""The slices of a step of contrastive pre-training, and changes of them that norms do not undo by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.contrast.pairs import Pairs, volumes_of
from hyperseg.contrast.partitions import draw_slices
from hyperseg.recipes.pretraining.settings import FolderContrast
from hyperseg.recipes.pretraining.slices import Slices

COARSE = 4  # points along a side, between which a field is smooth
Numbers = NDArray[np.int64]


class Batch(NamedTuple):
    """Slices of a step; what is no tensor stays on the host.

    Attributes:
        images: (n, C, *patch).
        volume, partition: (n,) of each.
        number: of the step.
    """

    images: Tensor
    volume: Numbers
    partition: Numbers
    number: int


def batches_of(slices: Slices, pairs: Pairs, chosen: FolderContrast, seed: int) -> Callable[[int], Batch]:
    """What is drawn in a step, a pure function of (seed, step).

    With gr slices of any volumes, each once; else as many volumes as the batch has room for, of each a slice of every
    partition.
    """
    every = [(v, s) for v, n in enumerate(slices.counts) for s in range(n)]

    def draw(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        if pairs == "gr":
            order = rng.choice(len(every), min(chosen.batch, len(every)), replace=False)
            drawn = [(*every[i], 0) for i in order]
        else:
            n = min(max(chosen.batch // chosen.parts, volumes_of(pairs)), len(slices.counts))
            drawn = [tuple(one) for one in draw_slices(slices.counts, chosen.parts, n, rng)]
        images = np.stack([slices.read(v, s) for v, s, _ in drawn])
        volume, _, partition = (np.array(column, np.int64) for column in zip(*drawn, strict=True))
        return Batch(torch.from_numpy(images), volume, partition, step)

    return draw


def disturbed(images: Tensor, generator: torch.Generator, *, field: float, noise: float) -> Tensor:
    """Each image times one smooth field and plus another, and with noise: no place is moved.

    Brightness and contrast of a whole image are undone by the first instance norm of a network: two views that differ
    in these alone are one for it. A coil's uneven field in a scanner, or a lamp beside a specimen, is not undone.

    Args:
        images: (B, C, h, w), scaled values.
        generator: on the CPU; each image has its own fields and noise.
        field: deviation of the logarithm of the factor, and of what is added.
        noise: deviation.

    Source: ours; none of it is in Chaitanya et al. 2020, whose networks have batch norms.
    """
    n, size = len(images), list(images.shape[2:])
    coarse = torch.randn((n, 2, COARSE, COARSE), generator=generator).mul_(field).to(images)
    smooth = F.interpolate(coarse, size, mode="bicubic", align_corners=True)
    found = images * smooth[:, :1].exp() + smooth[:, 1:]
    if noise:
        found = found + noise * torch.randn(images.shape, generator=generator).to(images)
    return found
