"""Random pixels: the literature's protocols. Train and test patches overlap; for comparison with papers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError, Split, SplitError
from hyperseg.data.splits.drawing import (
    Labels,
    Mask,
    Pixels,
    as_mask,
    check_range,
    check_seed,
    class_generator,
    class_pixels,
    finish,
    name_classes,
)

Counts = NDArray[np.int64]


def random_fraction(
    labels: Labels, n_classes: int, *, fraction: float, val: float = 0.1, seed: int, valid: Mask | None = None
) -> Split:
    """A share of every class at random; another share for validation; the rest is the test.

    A class of N pixels gives round(fraction N) to training, at least 1 and, from 2 pixels on, at most N - 1.
    Validation takes round(val N) out of the rest and leaves at least one test pixel: a class of one pixel is
    trained and named untestable.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        fraction: training share of each class, between 0 and 1.
        val: validation share of each class; 0 for none.
        seed: same seed, same masks.
        valid: (*S) bool or None; pixels without data are never drawn.

    Raises:
        SettingError: shares outside their range, or together 1 or more.
        SplitError: fewer than two classes have a pixel.

    Source: SSRN (Zhong et al., TGRS 2018): 20/10/70 % on IN and KSC, 10/10/80 % on UP; hence `val` = 0.1.
    Differs: minima for tiny classes are ours; the paper's code leaves some of them without a sample.
    """
    check_seed(seed)
    check_range("fraction", fraction, 0, 1, open_ends=True)
    check_range("val", val, 0, 1)
    if fraction + val >= 1:
        raise SettingError(
            f"fraction {fraction} and val {val} leave nothing to test: their sum must be below 1."
        )
    pixels = class_pixels(labels, n_classes, valid)
    size = _sizes(pixels)
    train = np.clip(_round(fraction * size), np.minimum(size, 1), np.maximum(size - 1, 1))
    rest = np.maximum(size - train, 0)
    wanted = np.maximum(_round(val * size), 1) if val > 0 else np.zeros_like(size)
    how = f"random_fraction(fraction={fraction:g}, val={val:g})"
    return _draw(
        labels, n_classes, pixels, train, np.clip(wanted, 0, np.maximum(rest - 1, 0)), how=how, seed=seed
    )


def random_per_class(
    labels: Labels, n_classes: int, *, n: int, val: int = 10, seed: int, valid: Mask | None = None
) -> Split:
    """`n` training and `val` validation pixels of every class at random; the rest is the test.

    A class of fewer than 2n pixels gives half of them to training (at least 1), so that something is left to
    test; the note names it.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        n: training pixels per class.
        val: validation pixels per class; 0 for none.
        seed: same seed, same masks.
        valid: (*S) bool or None; pixels without data are never drawn.

    Raises:
        SettingError: n below 1 or val below 0.
        SplitError: fewer than two classes have a pixel.

    Source: MambaHSI (Li et al., TGRS 2024): 30 + 10 per class; hence `val` = 10.
    Differs: halving of small classes is ours; the protocol is silent about them.
    """
    check_seed(seed)
    check_range("n", n, 1, np.inf)
    check_range("val", val, 0, np.inf)
    pixels = class_pixels(labels, n_classes, valid)
    size = _sizes(pixels)
    train = np.minimum(n, np.maximum(size // 2, np.minimum(size, 1)))
    held = np.clip(val, 0, np.maximum(size - train - 1, 0))
    notes = name_classes(f"fewer than {n} training pixels", np.flatnonzero((train < n) & (size > 0)))
    how = f"random_per_class(n={n}, val={val})"
    return _draw(labels, n_classes, pixels, train, held, how=how, seed=seed, notes=notes)


def random_total(
    labels: Labels, n_classes: int, *, n: int, val: int | None = None, seed: int, valid: Mask | None = None
) -> Split:
    """Exactly `n` training pixels in all, shared among the classes in proportion to their area.

    Shares are whole numbers by largest remainder; a class too small for its share still gets 1.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        n: training pixels in all.
        val: validation pixels in all, in proportion to what is left (never a class's last test pixel); None
            is a quarter of n, our choice: a few-label protocol with a large validation set is no few-label
                protocol.
        seed: same seed, same masks.
        valid: (*S) bool or None; pixels without data are never drawn.

    Raises:
        SettingError: n below 1 or val below 0.
        SplitError: n is below the number of labelled classes or above the number of labelled pixels.
    """
    check_seed(seed)
    check_range("n", n, 1, np.inf)
    val = n // 4 if val is None else val
    check_range("val", val, 0, np.inf)
    pixels = class_pixels(labels, n_classes, valid)
    size = _sizes(pixels)
    present, total = int(np.count_nonzero(size)), int(size.sum())
    if not present <= n <= total:
        raise SplitError(
            f"{n} training pixels cannot be drawn from {present} classes with {total} labelled pixels: "
            f"give a number from {present} (one per class) to {total}."
        )
    tie = np.array([p[0] if p.size else labels.size for p in pixels])
    train = _apportion(size, n, tie, least=1)
    room = np.maximum(size - train - 1, 0)
    held = _apportion(room, min(val, int(room.sum())), tie, least=0)
    how = f"random_total(n={n}, val={val})"
    return _draw(labels, n_classes, pixels, train, held, how=how, seed=seed)


def _apportion(size: Counts, n: int, tie: NDArray[np.int64], *, least: int) -> Counts:
    """n seats in proportion to `size` by largest remainder, at least `least` and never more than `size` each.

    Classes whose share is below `least` are served first; the others share what remains, so that no share
    exceeds its class. Ties go to the class that comes first in the scene, whatever its number.
    """
    seats = np.zeros_like(size)
    if n == 0:
        return seats
    open_ = size > 0
    while True:
        left = n - int(seats[~open_].sum())
        share = np.where(open_, size * left, 0) / max(int(size[open_].sum()), 1)
        tiny = open_ & (share < least)
        if not tiny.any():
            break
        seats[tiny] = least
        open_ &= ~tiny
    whole = np.floor(share).astype(np.int64)
    seats = np.where(open_, whole, seats)
    missing = n - int(seats.sum())
    order = np.lexsort((tie, -(share - whole)))
    order = order[open_[order] & (seats[order] < size[order])]
    seats[order[:missing]] += 1
    return seats


def _draw(
    labels: Labels,
    n_classes: int,
    pixels: list[Pixels],
    n_train: Counts,
    n_val: Counts,
    *,
    how: str,
    seed: int,
    notes: list[str] | None = None,
) -> Split:
    """Shuffle each class once and deal: first training, then validation, then test."""
    hands: tuple[list[Pixels], list[Pixels], list[Pixels]] = ([], [], [])
    for some, a, b in zip(pixels, n_train, n_val, strict=True):
        if some.size:
            shuffled = class_generator(seed, some).permutation(some)
            for hand, part in zip(hands, np.split(shuffled, [int(a), int(a + b)]), strict=True):
                hand.append(part)
    train, val, test = (as_mask(labels.shape, hand) for hand in hands)
    return finish(labels, n_classes, train=train, val=val, test=test, how=how, seed=seed, notes=notes or ())


def _sizes(pixels: list[Pixels]) -> Counts:
    return np.array([p.size for p in pixels], np.int64)


def _round(x: NDArray[np.floating[Any]]) -> Counts:
    """Half up, unlike NumPy's half to even: 2.5 pixels are 3 in every class alike."""
    return np.floor(x + 0.5).astype(np.int64)
