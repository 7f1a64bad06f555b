"""Methods that are trained beside another: each a run of its own in its folder, on the same folds for as many steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hyperseg.core import RunError
from hyperseg.io.write.targets import RECORD
from hyperseg.medical.configuration import Configuration
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import BESIDE, SegmentRun, remedy, trained_folds
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.resuming.history import read_history
from hyperseg.recipes.segment.resuming.standing import check_standing
from hyperseg.recipes.segment.starting import start


def started_beside(run: SegmentRun, method: CaseMethod) -> SegmentRun:
    """The run of a method beside: of the same plan, data, folds and seed; one that is there goes on.

    Raises:
        RunError: what is there is another one, or damaged.
    """
    root = run.root / BESIDE / method.name
    record = replace(
        run.record, method=method.name, settings=method.record, trained={}, chosen=(), largest=(), found={}
    )  # fmt: skip
    try:
        found = start(root, run.plan, record, resume=(root / RECORD).exists(), overwrite=False)
        check_standing(found)
    except RunError as error:
        raise RunError(f"{error} {remedy(root)} Or leave it out by --alone.") from error
    return found


def steps_of(run: SegmentRun, work: Iterable[tuple[Configuration, Any]]) -> dict[str, Budget]:
    """As many steps as the networks of each configuration took; all folds of one take the same number."""
    return {
        one.name: Budget(steps=read_history(run, one.name, trained_folds(run, one.name)[0])["steps"]) for one, _ in work
    }


def dice_rows(run: SegmentRun) -> dict[str, Any]:
    """Rows of Dice by cross-validation by what they are of: configurations, and the same of methods beside."""
    found = dict(run.record.found.get("dice", {}))
    for method, other in run.beside.items():
        found |= {f"{name}, {method}": row for name, row in other.record.found.get("dice", {}).items()}
    return found
