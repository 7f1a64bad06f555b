"""What cross-validation decides: of which classes only the largest piece is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.medical.components import keep_largest
from hyperseg.metrics import overlap

Parts = tuple[tuple[int, ...], ...]  # classes that are one object, see `components.keep_largest`


@dataclass(frozen=True)
class CaseDice:
    """Dice of each foreground class of one predicted case, NaN where it is neither there nor predicted.

    Attributes:
        raw: as predicted.
        single: where each class keeps its largest component alone (the other classes do not matter for it).
        whole: where the foreground does; `whole_single`: and then each class.
    """

    raw: tuple[float, ...]
    single: tuple[float, ...]
    whole: tuple[float, ...]
    whole_single: tuple[float, ...]


def dice(found: NDArray[Any], truth: NDArray[Any], class_: int) -> float:
    """Dice of a class over the labelled voxels; NaN where it is in neither."""
    return overlap.dice(truth == class_, (found == class_) & (truth >= 0))


def case_dice(found: NDArray[Any], truth: NDArray[Any], n_classes: int) -> CaseDice:
    """Dice of a predicted case with and without the pieces that could be removed."""
    whole = keep_largest(found, (tuple(range(1, n_classes)),))

    def each(labels: NDArray[Any], *, single: bool) -> tuple[float, ...]:
        return tuple(dice(keep_largest(labels, ((k,),)) if single else labels, truth, k) for k in range(1, n_classes))

    return CaseDice(
        each(found, single=False), each(found, single=True), each(whole, single=False), each(whole, single=True)
    )


def choose_parts(cases: Sequence[CaseDice]) -> Parts:
    """What to keep: the foreground's largest piece where mean Dice rises and no class falls, then a class's where its
    own rises.

    Source: the published code of nnU-Net's second version.
    """
    raw, whole = (class_means([getattr(case, name) for case in cases]) for name in ("raw", "whole"))
    if np.isnan(raw).all():
        return ()
    seen = ~np.isnan(raw)
    together = bool(whole[seen].mean() > raw[seen].mean() and (whole >= raw)[seen].all())
    before = whole if together else raw
    single = class_means([case.whole_single if together else case.single for case in cases])
    first = (tuple(range(1, len(raw) + 1)),) if together else ()
    return (*first, *((int(k) + 1,) for k in np.flatnonzero(single > before)))


def class_means(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Means over the cases in which a class is there or predicted; NaN where there is none."""
    table = np.array(rows, np.float64)
    counts = (~np.isnan(table)).sum(0)
    return np.where(counts > 0, np.nansum(table, 0) / np.maximum(counts, 1), np.nan)
