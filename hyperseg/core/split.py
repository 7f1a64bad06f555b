"""`Split`: which pixels train, validate and test, and how that was decided."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import SplitError
from hyperseg.core.scene import UNLABELLED

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Disjoint training, validation and test pixels.

    Attributes:
        train, val, test: (*S) bool masks; disjoint, labelled pixels only.
        how: the maker and its settings, e.g. "parcels(fraction=0.3, cap=50, guard=4)".
        seed: the seed that made it.
        guard_px: test pixels within this distance (Chebyshev) of training material were dropped.
        untestable: indices of classes with no test pixel left: they are named, never hidden.
        untrainable: indices of classes with no training pixel.
        note: anything a reader of the report must know.
    """

    train: Mask
    val: Mask
    test: Mask
    how: str
    seed: int
    guard_px: int = 0
    untestable: tuple[int, ...] = ()
    untrainable: tuple[int, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if not (self.train.shape == self.val.shape == self.test.shape):
            raise SplitError(f"split masks differ in shape: {self.train.shape}, {self.val.shape}, {self.test.shape}.")
        for mask in (self.train, self.val, self.test):
            if mask.dtype != np.bool_:
                raise SplitError(f"split masks must be bool, got {mask.dtype}.")
        for a, b in combinations(("train", "val", "test"), 2):
            if shared := np.count_nonzero(getattr(self, a) & getattr(self, b)):
                raise SplitError(f"{shared} pixels are in both {a} and {b}: the masks must be disjoint.")

    def counts(self, labels: NDArray[np.int16], n_classes: int) -> NDArray[np.int64]:
        """(3, K) pixels per class in train, val and test."""
        parts = [labels[mask & (labels != UNLABELLED)] for mask in (self.train, self.val, self.test)]
        return np.stack([np.bincount(part, minlength=n_classes) for part in parts])
