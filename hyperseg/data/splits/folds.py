"""Training pixels in parts, so that each part can be predicted by a model that was trained without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, SettingError, Split


def folds(
    split: Split, labels: NDArray[np.int16], n: int = 3, *, apart: bool = True, parcels: NDArray[np.int32] | None = None
) -> list[NDArray[np.bool_]]:
    """The training pixels in `n` parts, every class spread over all of them.

    What is held out should be as hard as what is tested. Apart: the pixels of every class are put in the order of their
    parcels (connected labelled ground of the class), row by row within a parcel, and cut into n runs of about equal
    length; a class with several parcels is held out by parcel, one with a single parcel by a strip of it. Not apart:
    at random, so that held-out pixels lie among those that are left.

    Args:
        split: whose `train` is divided.
        labels: (H, W) classes, -1 unlabelled.
        n: number of parts, 2 or more.
        apart: parts that lie apart where they can, for a split whose test pixels do; or scattered ones.
        parcels: (H, W) number of the drawn polygon of every pixel, -1 none; they are the parcels then. Or None.

    Returns:
        n disjoint (H, W) masks that together are `split.train`; a part may be empty.
    """
    from scipy import ndimage

    if n < 2:
        raise SettingError(f"cross-fitting takes 2 parts or more, got {n}.")
    labels = np.where(split.test, np.int16(UNLABELLED), labels)  # a test label could join two parcels
    part = np.full(labels.shape, -1)
    for k in np.unique(labels[split.train]):
        mine = split.train & (labels == k)
        places = np.argwhere(mine)
        if apart:
            parcel = ndimage.label(labels == k, structure=np.ones((3, 3)))[0] if parcels is None else parcels
            order = np.lexsort((places[:, 1], places[:, 0], parcel[mine]))
        else:
            width = labels.shape[1]
            order = np.random.default_rng([split.seed, int(places[0] @ (width, 1))]).permutation(len(places))
        # the remainder of small classes goes to another part each time
        run = (np.arange(len(order)) * n // max(len(order), n) + int(k)) % n
        part[tuple(places[order].T)] = run
    return [part == i for i in range(n)]


def without(split: Split, part: NDArray[np.bool_]) -> Split:
    """The split with the pixels of `part` left out of training."""
    return replace(split, train=split.train & ~part, note="")
