"""What cross-validation decides: of which classes only the largest piece is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.medical.components import keep_largest, n_pieces
from hyperseg.metrics import overlap

Rule = Literal["where better", "where always one", "never"]
Parts = tuple[tuple[int, ...], ...]  # classes that are one object, see `components.keep_largest`


@dataclass(frozen=True)
class CaseDice:
    """Dice of each foreground class of one predicted case, NaN where it is neither there nor predicted.

    Attributes:
        raw: as predicted.
        single: where each class keeps its largest piece alone (the other classes do not matter for it).
        whole: where the foreground does.
        both: where every class does, and then the foreground.
        pieces: of each class in the label.
    """

    raw: tuple[float, ...]
    single: tuple[float, ...]
    whole: tuple[float, ...]
    both: tuple[float, ...]
    pieces: tuple[int, ...] = ()


def dice(found: NDArray[Any], truth: NDArray[Any], class_: int) -> float:
    """Dice of a class over the labelled voxels; NaN where it is in neither."""
    return overlap.dice(truth == class_, (found == class_) & (truth >= 0))


def case_dice(found: NDArray[Any], truth: NDArray[Any], n_classes: int) -> CaseDice:
    """Dice of a predicted case with and without the pieces that could be removed."""
    single = tuple((k,) for k in range(1, n_classes))
    whole = (tuple(range(1, n_classes)),)

    def each(parts: Parts) -> tuple[float, ...]:
        kept = keep_largest(found, parts)
        return tuple(dice(kept, truth, k) for k in range(1, n_classes))

    pieces = tuple(n_pieces(truth == k) for k in range(1, n_classes))
    return CaseDice(each(()), each(single), each(whole), each((*single, *whole)), pieces)


def choose_parts(cases: Sequence[CaseDice], rule: Rule = "where better") -> Parts:
    """Of what only the largest piece is kept.

    "where better": of four ways the one with the best mean Dice of those in which no class falls: nothing; each class
    whose own Dice rises; the foreground; every class, and then the foreground. What is told of the chosen way is what
    it does to these cases, see `means_after`. "where always one": each class that is one piece in every label. "never":
    nothing.

    Source: Isensee et al., arXiv 1809.10486 (where always one), and the published code of the second version.
    Differs: from the second version: the foreground comes last and goes with no class or with all of them, as only
    then all that is done has been measured, and doing it twice is doing it once.
    """
    n = len(cases[0].raw)
    if rule == "never":
        return ()
    if rule == "where always one":
        return tuple((k + 1,) for k in range(n) if max(case.pieces[k] for case in cases) <= 1)
    raw, single = means_after(cases, ()), class_means([case.single for case in cases])
    every, whole = tuple((k + 1,) for k in range(n)), (tuple(range(1, n + 1)),)
    rising = tuple((int(k) + 1,) for k in np.flatnonzero(single > raw))
    seen, best = ~np.isnan(raw), 0.0
    chosen: Parts = ()
    for parts in (rising, whole, (*every, *whole)):
        gain = (means_after(cases, parts) - raw)[seen]
        if gain.size and (gain >= 0).all() and gain.mean() > best:
            best, chosen = float(gain.mean()), parts
    return chosen


def means_after(cases: Sequence[CaseDice], parts: Parts) -> NDArray[np.float64]:
    """Mean Dice of each class where of these parts the largest piece alone is kept; parts as `choose_parts` gives."""
    n = len(cases[0].raw)
    raw, single, whole, both = (
        class_means([getattr(case, way) for case in cases]) for way in ("raw", "single", "whole", "both")
    )
    if tuple(range(1, n + 1)) in parts:  # of a single class this is the class
        return both if len(parts) > 1 else whole
    return np.where([(k,) in parts for k in range(1, n + 1)], single, raw)


def class_means(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Means over the cases in which a class is there or predicted; NaN where there is none."""
    table = np.array(rows, np.float64)
    counts = (~np.isnan(table)).sum(0)
    return np.where(counts > 0, np.nansum(table, 0) / np.maximum(counts, 1), np.nan)
