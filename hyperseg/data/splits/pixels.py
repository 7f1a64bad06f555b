"""Random pixels: the literature's protocols. Train and test patches overlap; for comparison with papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError, Split, SplitError
from hyperseg.core.settings import option, settings
from hyperseg.data.splits.drawing import Counts, Draw, Pixels, name_classes
from hyperseg.data.splits.spelling import Splitter, described


@settings
class FractionSettings:
    """Shares of every class; that of training has to be given."""

    fraction: float = option(MISSING, "Training share of each class.", above=0, below=1)
    val: float = option(0.1, "Validation share of each class; 0 for none.", low=0, high=1)

    def __post_init__(self) -> None:
        if self.fraction + self.val >= 1:
            raise SettingError(
                f"fraction {self.fraction} and val {self.val} leave nothing to test: their sum must be below 1."
            )


@settings
class PerClassSettings:
    """Pixels of every class; those of training have to be given."""

    n: int = option(MISSING, "Training pixels per class.", low=1)
    val: int = option(10, "Validation pixels per class; 0 for none.", low=0)


@settings
class TotalSettings:
    """Pixels in all; those of training have to be given."""

    n: int = option(MISSING, "Training pixels in all.", low=1)
    val: int | None = option(
        None,
        "Validation pixels in all, in proportion to what is left, never a class's last test pixel; none is a quarter "
        "of n, our choice: a few-label protocol with a large validation set is no few-label protocol.",
        low=0,
    )


def random_fraction(draw: Draw, chosen: FractionSettings) -> Split:
    """A share of every class at random; another share for validation; the rest is the test.

    A class of N pixels gives round(fraction N) to training, at least 1 and, from 2 pixels on, at most N - 1.
    Validation takes round(val N) out of the rest and leaves at least one test pixel: a class of one pixel is
    trained and named untestable.

    Raises:
        SplitError: fewer than two classes have a pixel.

    Source: SSRN (Zhong et al., TGRS 2018): 20/10/70 % on IN and KSC, 10/10/80 % on UP; hence `val` = 0.1.
    Differs: minima for tiny classes are ours; the paper's code leaves some of them without a sample.
    """
    size = draw.sizes
    train = np.clip(_round(chosen.fraction * size), np.minimum(size, 1), np.maximum(size - 1, 1))
    rest = np.maximum(size - train, 0)
    wanted = np.maximum(_round(chosen.val * size), 1) if chosen.val > 0 else np.zeros_like(size)
    held = np.clip(wanted, 0, np.maximum(rest - 1, 0))
    return _deal(draw, train, held, f"random_fraction({described(chosen)})")


def random_per_class(draw: Draw, chosen: PerClassSettings) -> Split:
    """`n` training and `val` validation pixels of every class at random; the rest is the test.

    A class of fewer than 2n pixels gives half of them to training (at least 1), so that something is left to
    test; the note names it.

    Raises:
        SplitError: fewer than two classes have a pixel.

    Source: MambaHSI (Li et al., TGRS 2024): 30 + 10 per class; hence `val` = 10.
    Differs: halving of small classes is ours; the protocol is silent about them.
    """
    size, n = draw.sizes, chosen.n
    train = np.minimum(n, np.maximum(size // 2, np.minimum(size, 1)))
    held = np.clip(chosen.val, 0, np.maximum(size - train - 1, 0))
    notes = name_classes(f"fewer than {n} training pixels", np.flatnonzero((train < n) & (size > 0)))
    return _deal(draw, train, held, f"random_per_class({described(chosen)})", notes)


def random_total(draw: Draw, chosen: TotalSettings) -> Split:
    """Exactly `n` training pixels in all, shared among the classes in proportion to their area.

    Shares are whole numbers by largest remainder; a class too small for its share still gets 1.

    Raises:
        SplitError: n is below the number of labelled classes or above the number of labelled pixels.
    """
    n = chosen.n
    val = n // 4 if chosen.val is None else chosen.val
    size = draw.sizes
    present, total = int(np.count_nonzero(size)), int(size.sum())
    if not present <= n <= total:
        raise SplitError(
            f"{n} training pixels cannot be drawn from {present} classes with {total} labelled pixels: "
            f"give a number from {present} (one per class) to {total}."
        )
    tie = np.array([p[0] if p.size else draw.labels.size for p in draw.pixels])
    train = _apportion(size, n, tie, least=1)
    room = np.maximum(size - train - 1, 0)
    held = _apportion(room, min(val, int(room.sum())), tie, least=0)
    return _deal(draw, train, held, f"random_total({described(chosen)})")


BETWEEN = "accuracy of this map between labelled pixels, where they lie as these do; it says nothing of new fields"
RANDOM_FRACTION, RANDOM_PER_CLASS, RANDOM_TOTAL = (
    Splitter("random_fraction", FractionSettings, random_fraction, single_pixels=True, estimates=BETWEEN),
    Splitter("random_per_class", PerClassSettings, random_per_class, single_pixels=True, estimates=BETWEEN),
    Splitter("random_total", TotalSettings, random_total, single_pixels=True, estimates=BETWEEN),
)


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


def _deal(draw: Draw, n_train: Counts, n_val: Counts, how: str, notes: Sequence[str] = ()) -> Split:
    """Shuffle each class once and deal: first training, then validation, then test."""
    hands: tuple[list[Pixels], list[Pixels], list[Pixels]] = ([], [], [])
    for k, (some, a, b) in enumerate(zip(draw.pixels, n_train, n_val, strict=True)):
        if some.size:
            shuffled = draw.generator(k).permutation(some)
            for hand, part in zip(hands, np.split(shuffled, [int(a), int(a + b)]), strict=True):
                hand.append(part)
    train, val, test = (draw.mask(hand) for hand in hands)
    return draw.finish(how, train=train, val=val, test=test, notes=notes)


def _round(x: NDArray[np.floating[Any]]) -> Counts:
    """Half up, unlike NumPy's half to even: 2.5 pixels are 3 in every class alike."""
    return np.floor(x + 0.5).astype(np.int64)
