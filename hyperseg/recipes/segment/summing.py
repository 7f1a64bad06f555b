"""What cross-validation says: Dice of every configuration, the best one, and which pieces to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperseg.recipes.segment.choosing import CaseDice, Parts, choose_parts, class_means
from hyperseg.recipes.segment.folder import HISTORY, SegmentRun, fold_folder


@dataclass(frozen=True)
class Summary:
    """Attributes: as of `Record`; numbers go to its `found`."""

    chosen: tuple[str, ...] = ()
    largest: Parts = ()
    numbers: dict[str, Any] = field(default_factory=dict)


def summed(run: SegmentRun, trained: Mapping[str, Sequence[int]]) -> Summary:
    """Compare configurations by mean foreground Dice over all cases, each predicted by the fold that did not see it.

    Only those trained on all folds are compared, and only where whole cases were predicted. Pieces are chosen on the
    same cases: what is told of the result afterwards is a little too good, as in every such choice.

    Differs: from nnU-Net: single configurations are compared, no pairs.
    """
    n_folds, classes = len(run.record.folds), run.plan.facts.classes
    table: dict[str, Any] = {}
    whole: dict[str, list[CaseDice]] = {}
    for name, folds in trained.items():
        cases = _cases(run, name, folds)
        if not cases:
            continue
        means = class_means([case.raw for case in cases])
        table[name] = {
            "folds": list(folds), "cases": len(cases), "mean": _mean(means),
            "classes": dict(zip(classes[1:], map(_known, means), strict=True)),
        }  # fmt: skip
        if len(folds) == n_folds:
            whole[name] = cases
    if not whole:
        return Summary(numbers={"dice": table})
    best = max(whole, key=lambda name: table[name]["mean"] or 0.0)
    parts = choose_parts(whole[best])
    return Summary((best,), parts, {"dice": table})


def _cases(run: SegmentRun, name: str, folds: Sequence[int]) -> list[CaseDice]:
    found = []
    for fold in folds:
        history = json.loads((fold_folder(run.root, name, fold) / HISTORY).read_text(encoding="utf-8"))
        rows = history.get("cases") or {}
        found += [CaseDice(**{key: _numbers(values) for key, values in row.items()}) for row in rows.values()]
    return found


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    """What JSON has no word for came as None."""
    return tuple(float("nan") if value is None else value for value in values)


def _mean(values: Any) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
