"""Partitions: slices at about the same relative position of different volumes, and batches drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError


class Drawn(NamedTuple):
    """A slice of a batch: index of its volume, of the slice in it, and its partition."""

    volume: int
    slice: int
    partition: int


def partition_of(n_slices: int, parts: int) -> NDArray[np.int64]:
    """(n_slices,) the partition of each slice: `parts` runs of n_slices // parts, what is left over in the last.

    Source: Chaitanya et al. 2020, section 3.1.
    Differs: there leftover slices are in none; that they belong to the last is our reconstruction.

    Raises:
        SettingError: fewer slices than parts.
    """
    if parts < 1:
        raise SettingError(f"a volume has one partition or more, got {parts}.")
    if n_slices < parts:
        raise SettingError(
            f"a volume of {n_slices} slices cannot be cut into {parts} partitions: ask for fewer partitions, or leave "
            "the volume out."
        )
    found: NDArray[np.int64] = np.minimum(np.arange(n_slices) // (n_slices // parts), parts - 1)
    return found


def draw_slices(counts: Sequence[int], parts: int, volumes: int, rng: np.random.Generator) -> list[Drawn]:
    """A batch: so many different volumes, of each a random slice of every partition; volume by volume.

    Args:
        counts: slices of every volume.
        parts: partitions of a volume.
        volumes: in the batch.
        rng: volumes are drawn first, then slices.

    Raises:
        SettingError: fewer volumes than asked for, or one with fewer slices than parts.
    """
    if not 1 <= volumes <= len(counts):
        raise SettingError(
            f"a batch of {volumes} volumes cannot be drawn from {len(counts)}: give more, or ask for fewer."
        )
    drawn = []
    for volume in rng.choice(len(counts), volumes, replace=False):
        of = partition_of(counts[volume], parts)
        for part in range(parts):
            first, last = np.searchsorted(of, (part, part + 1))
            drawn.append(Drawn(int(volume), int(rng.integers(first, last)), part))
    return drawn
