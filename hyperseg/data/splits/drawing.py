"""What every split maker works with: checked labels, one generator per class, masks, and the finished `Split`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, SettingError, Split, SplitError
from hyperseg.core.settings import option

Counts = NDArray[np.int64]
Labels = NDArray[np.int16]
Mask = NDArray[np.bool_]
Parcels = NDArray[np.int32]
"""Number of the drawn polygon of every pixel, -1 for none."""
Pixels = NDArray[np.intp]
"""Flat indices into the scene, ascending unless said otherwise."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What a split maker divides, and by which seed.

    Attributes:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        seed: same seed, same masks.
        valid: (*S) bool, False where pixels hold no data: they get no role; or None.
        parcels: (*S) number of the drawn polygon of every pixel, -1 none; or None.
        train_mask, test_mask, val_mask: (*S) bool masks or label rasters that are given, not drawn; or None.

    Raises:
        SettingError: a seed that is no whole number of at least 0.
        LabelError: labels that are no integers, outside -1..K-1, or on another grid than `valid`.
    """

    labels: Labels
    n_classes: int
    seed: int
    valid: Mask | None = None
    parcels: Parcels | None = None
    train_mask: NDArray[Any] | None = None
    test_mask: NDArray[Any] | None = None
    val_mask: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        labels, seed = self.labels, self.seed
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise SettingError(f"seed {seed!r} cannot be used: give a whole number of at least 0.")
        if not np.issubdtype(labels.dtype, np.integer):
            raise LabelError(f"labels must be integers (classes 0..K-1, -1 unlabelled), got {labels.dtype}.")
        if labels.size == 0 or labels.min() < UNLABELLED or labels.max() >= self.n_classes:
            span = f"run from {labels.min()} to {labels.max()}" if labels.size else "are empty"
            raise LabelError(
                f"labels {span}, expected -1 (unlabelled) or 0..{self.n_classes - 1}: translate file codes first."
            )
        if self.valid is not None and self.valid.shape != labels.shape:
            raise LabelError(f"the valid mask has shape {self.valid.shape}, the labels {labels.shape}: use one grid.")

    @cached_property
    def pixels(self) -> list[Pixels]:
        """Flat indices of the labelled, valid pixels of each class: K arrays, some may be empty."""
        flat = self.labels.ravel()
        known = flat != UNLABELLED if self.valid is None else (flat != UNLABELLED) & self.valid.ravel()
        where = np.flatnonzero(known)
        order = np.argsort(flat[where], kind="stable")
        ends = np.cumsum(np.bincount(flat[where], minlength=self.n_classes))
        return np.split(where[order], ends[:-1])

    @property
    def sizes(self) -> Counts:
        """(K,) labelled, valid pixels of each class."""
        return np.array([p.size for p in self.pixels], np.int64)

    def generator(self, k: int) -> np.random.Generator:
        """The generator of class k, which must have a pixel: it follows the place of the class, not its number."""
        return np.random.default_rng([int(self.seed), int(self.pixels[k].min())])

    def mask(self, pixels: Iterable[Pixels]) -> Mask:
        """(*S) bool mask of flat indices. Flat on purpose: indexing by a list of lists copies whole rows."""
        mask = np.zeros(self.labels.shape, np.bool_)
        flat = mask.reshape(-1)
        for some in pixels:
            flat[some] = True
        return mask

    def finish(
        self, how: str, *, train: Mask, val: Mask, test: Mask, guard: int = 0, notes: Sequence[str] = ()
    ) -> Split:
        """The `Split`, with the classes named that have no training or no test pixel.

        Args:
            how: the split and its settings, as "blocks(block=32, guard=8)".
            train, val, test: (*S) disjoint masks.
            guard: Chebyshev distance in pixels that test pixels keep from the training side.
            notes: what a reader of the report must know.

        Raises:
            SplitError: fewer than two classes can be trained.
        """
        counts = [np.bincount(self.labels[mask], minlength=self.n_classes) for mask in (train, test)]
        untrainable, untestable = (tuple(int(k) for k in np.flatnonzero(count == 0)) for count in counts)
        trainable = self.n_classes - len(untrainable)
        if trainable < 2:
            raise SplitError(
                f"{how} with seed {self.seed} leaves {trainable} of {self.n_classes} classes with training "
                f"pixels, and a classifier needs 2. Label more classes, or use a larger share, smaller blocks "
                f"or another seed."
            )
        empty = () if test.any() else ("no test pixel is left: nothing can be scored",)
        return Split(
            train=train, val=val, test=test, how=how, seed=int(self.seed), guard_px=guard,
            untestable=untestable, untrainable=untrainable, note="; ".join((*notes, *empty)),
        )  # fmt: skip


def near(mask: Mask, distance: int) -> Mask:
    """Pixels within a Chebyshev distance (pixels) of the mask, the mask itself included."""
    from scipy.ndimage import maximum_filter

    found = maximum_filter(mask.view(np.uint8), size=2 * distance + 1, mode="constant", cval=0)
    return np.asarray(found).view(np.bool_)


def held_share(units: str) -> float:
    """The setting of `hold_out`, for training `units` (blocks, patches, clusters)."""
    found: float = option(
        0.1,
        f"Share of the training {units} held out for validation, one at least where that is possible; 0 for none.",
        low=0,
        high=1,
    )
    return found


def hold_out(draw: Draw, number: Counts, side: Counts, known: Mask, share: float) -> Counts:
    """Units of the training side for validation: no class may lose its last unit in training.

    Args:
        number: (*S) number of the unit (block, patch, cluster) of every pixel.
        side: numbers of the units that train, in the order in which they are asked.
        known: (*S) pixels that count.
        share: of the units; one at least is wanted, unless it is 0.
    """
    if not share > 0:
        return side[:0]
    n_classes = draw.n_classes
    wanted = max(int(share * side.size + 0.5), 1)
    mine = known & np.isin(number, side)
    order = np.argsort(side)
    row = order[np.searchsorted(side, number[mine], sorter=order)]
    cells = np.bincount(row * n_classes + draw.labels[mine], minlength=side.size * n_classes)
    counts = cells.reshape(side.size, n_classes) > 0
    units_of_class = counts.sum(0)
    held: list[int] = []
    for k, b in enumerate(side):
        if len(held) < wanted and np.all(units_of_class[counts[k]] > 1):
            held.append(int(b))
            units_of_class = units_of_class - counts[k]
    return np.array(held, np.int64)


def name_classes(text: str, classes: Iterable[int]) -> list[str]:
    """`["<text>: classes 1, 4"]`, or nothing when no class is concerned."""
    listed = ", ".join(str(k) for k in sorted(classes))
    return [f"{text}: classes {listed}"] if listed else []
