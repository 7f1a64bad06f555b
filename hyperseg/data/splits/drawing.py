"""What every split maker needs: checked labels, one generator per class, and a finished `Split`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from hyperseg.core import UNLABELLED, LabelError, SettingError, Split, SplitError

Labels = NDArray[np.int16]
Mask = NDArray[np.bool_]
Parcels = NDArray[np.int32]
"""Number of the drawn polygon of every pixel, -1 for none."""
Pixels = NDArray[np.intp]
"""Flat indices into the scene, ascending unless said otherwise."""


def class_pixels(labels: Labels, n_classes: int, valid: Mask | None) -> list[Pixels]:
    """Flat indices of the labelled, valid pixels of each class (K arrays, some may be empty).

    Raises:
        LabelError: labels that are no integers, outside -1..K-1, or on another grid than `valid`.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabelError(f"labels must be integers (classes 0..K-1, -1 unlabelled), got {labels.dtype}.")
    if labels.size == 0 or labels.min() < UNLABELLED or labels.max() >= n_classes:
        span = f"run from {labels.min()} to {labels.max()}" if labels.size else "are empty"
        raise LabelError(
            f"labels {span}, expected -1 (unlabelled) or 0..{n_classes - 1}: translate file codes first."
        )
    if valid is not None and valid.shape != labels.shape:
        raise LabelError(f"the valid mask has shape {valid.shape}, the labels {labels.shape}: use one grid.")
    flat = labels.ravel()
    known = flat != UNLABELLED if valid is None else (flat != UNLABELLED) & valid.ravel()
    where = np.flatnonzero(known)
    order = np.argsort(flat[where], kind="stable")
    ends = np.cumsum(np.bincount(flat[where], minlength=n_classes))
    return np.split(where[order], ends[:-1])


def check_seed(seed: int) -> None:
    """Refuse what NumPy would refuse later, in words a user understands."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SettingError(f"seed {seed!r} cannot be used: give a whole number of at least 0.")


def check_range(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    """Refuse `value` outside [low, high], or outside ]low, high[."""
    inside = low < value < high if open_ends else low <= value <= high
    if not inside:
        between = f"between {low:g} and {high:g}" if high < np.inf else f"at least {low:g}"
        raise SettingError(
            f"{name} = {value} is impossible: it must be {between}{' (exclusive)' * open_ends}."
        )


def class_generator(seed: int, pixels: Pixels) -> np.random.Generator:
    """The generator of one class: it follows the place of the class, not its number."""
    return np.random.default_rng([int(seed), int(pixels.min())])


def near(mask: Mask, distance: int) -> Mask:
    """Pixels within a Chebyshev distance (pixels) of the mask, the mask itself included."""
    return maximum_filter(mask.view(np.uint8), size=2 * distance + 1, mode="constant", cval=0).view(np.bool_)


def as_mask(shape: tuple[int, ...], pixels: Iterable[Pixels]) -> Mask:
    """(*S) bool mask of flat indices. Flat on purpose: indexing by a list of lists copies whole rows."""
    mask = np.zeros(shape, np.bool_)
    flat = mask.reshape(-1)
    for some in pixels:
        flat[some] = True
    return mask


def finish(
    labels: Labels,
    n_classes: int,
    *,
    train: Mask,
    val: Mask,
    test: Mask,
    how: str,
    seed: int,
    guard: int = 0,
    notes: Sequence[str] = (),
) -> Split:
    """Name the classes without training or test pixels and build the `Split`.

    Raises:
        SplitError: fewer than two classes can be trained.
    """
    counts = [np.bincount(labels[mask], minlength=n_classes) for mask in (train, test)]
    untrainable, untestable = (tuple(int(k) for k in np.flatnonzero(count == 0)) for count in counts)
    trainable = n_classes - len(untrainable)
    if trainable < 2:
        raise SplitError(
            f"{how} with seed {seed} leaves {trainable} of {n_classes} classes with training pixels, "
            f"and a classifier needs 2. Label more classes, "
            f"or use a larger share, smaller blocks or another seed."
        )
    empty = () if test.any() else ("no test pixel is left: nothing can be scored",)
    return Split(
        train=train,
        val=val,
        test=test,
        how=how,
        seed=int(seed),
        guard_px=guard,
        untestable=untestable,
        untrainable=untrainable,
        note="; ".join((*notes, *empty)),
    )


def name_classes(text: str, classes: Iterable[int]) -> list[str]:
    """`["<text>: classes 1, 4"]`, or nothing when no class is concerned."""
    listed = ", ".join(str(k) for k in sorted(classes))
    return [f"{text}: classes {listed}"] if listed else []
