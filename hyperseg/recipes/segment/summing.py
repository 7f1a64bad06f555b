"""What cross-validation says: Dice of every configuration and pair, the best one, and which pieces to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError
from hyperseg.recipes.segment.choosing import CaseDice, Parts, choose_parts, class_means, means_after
from hyperseg.recipes.segment.folder import HISTORY, SegmentRun, fold_folder
from hyperseg.recipes.segment.held_out.pairs import AND, pair_rows
from hyperseg.recipes.segment.resuming.history import read_history


@dataclass(frozen=True)
class Summary:
    """Attributes: as of `Record`; numbers go to its `found`."""

    chosen: tuple[str, ...] = ()
    largest: Parts = ()
    numbers: dict[str, Any] = field(default_factory=dict)


def summed(run: SegmentRun, trained: Mapping[str, Sequence[int]]) -> Summary:
    """Compare configurations and pairs by mean foreground Dice over all cases, each predicted by the fold's networks.

    Only those trained on all folds are compared, and only where whole cases were predicted; pairs where all cases were.
    Pieces are chosen on the same cases: what is told of the result afterwards is a little too good, as in every such
    choice.

    Source: Isensee et al., arXiv 1809.10486, section 2.5, and the published code of the second version.
    """
    n_folds, classes = len(run.record.folds), run.plan.facts.classes
    table: dict[str, Any] = {}
    whole: dict[tuple[str, ...], list[CaseDice]] = {}
    for name, folds in trained.items():
        cases = cases_of(run, name, folds)
        if not cases:
            continue
        table[name] = row_of(cases, folds, classes)
        if len(folds) == n_folds:
            whole[name,] = cases
    for pair in combinations([name for (name,) in whole], 2):
        rows = pair_rows(run.root, pair)
        cases = [case_of(rows[name]) for names in run.record.folds for name in names if name in rows]
        if len(cases) == sum(map(len, run.record.folds)):
            whole[pair] = cases
            table[AND.join(pair)] = row_of(cases, range(n_folds), classes)
    if not whole:
        return Summary(numbers={"dice": table})
    best = max(whole, key=lambda names: table[AND.join(names)]["mean"] or 0.0)
    parts = choose_parts(whole[best], run.plan.training.inference.keep_largest)
    kept = _means(means_after(whole[best], parts), classes)
    return Summary(best, parts, {"dice": table, "kept": kept})


def row_of(cases: Sequence[CaseDice], folds: Iterable[int], classes: Sequence[str]) -> dict[str, Any]:
    """What is told of cases: their folds, their number, and Dice: the mean, and of each class."""
    means = class_means([case.raw for case in cases])
    return {"folds": list(folds), "cases": len(cases), **_means(means, classes)}


def _means(means: NDArray[np.float64], classes: Sequence[str]) -> dict[str, Any]:
    return {"mean": _mean(means), "classes": dict(zip(classes[1:], map(_known, means), strict=True))}


def cases_of(run: SegmentRun, name: str, folds: Sequence[int]) -> list[CaseDice]:
    """Validation cases of these folds, which are trained.

    Raises:
        RunError: a history that cannot be read.
    """
    found = []
    for fold in folds:
        rows = read_history(run, name, fold)["cases"]
        try:
            found += [case_of(row) for row in rows.values()]
        except KeyError as error:
            raise RunError(
                f"{fold_folder(run.root, name, fold) / HISTORY}: written by another version. Train this fold again."
            ) from error
    return found


def case_of(row: Mapping[str, Sequence[Any]]) -> CaseDice:
    """Of a case as JSON has it."""
    raw, single, whole, both = (_numbers(row[way]) for way in ("raw", "single", "whole", "both"))
    return CaseDice(raw, single, whole, both, tuple(map(int, row["pieces"])))


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    """What JSON has no word for came as None."""
    return tuple(float("nan") if value is None else value for value in values)


def _mean(values: Any) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
