"""Methods that are trained beside another: each a run of its own in its folder, on the same folds for as many steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from hyperseg.core import RunError
from hyperseg.core.words import number
from hyperseg.io.write.targets import RECORD
from hyperseg.medical.configuration import Configuration
from hyperseg.recipes.segment.few_labels.weights import SEEN
from hyperseg.recipes.segment.few_labels.words import about_labels
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import BESIDE, SegmentRun, named_folds, remedy, trained_folds
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.resuming.history import read_history
from hyperseg.recipes.segment.resuming.standing import check_standing
from hyperseg.recipes.segment.starting import start
from hyperseg.recipes.segment.summing import cases_of, row_of


def started_beside(run: SegmentRun, method: CaseMethod) -> SegmentRun:
    """The run of a method beside: of the same plan, data, folds and seed; one that is there goes on.

    Raises:
        RunError: what is there is another one, or damaged.
    """
    root = run.root / BESIDE / method.name
    record = replace(
        run.record, method=method.name, settings=method.record, tricks=method.tricks, trained={}, chosen=(), largest=(),
        found={key: value for key, value in run.record.found.items() if key == SEEN},
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


def of_method(name: str, method: str) -> str:
    """What a configuration is called where several methods are told of."""
    return f"{name}, {method}"


def dice_rows(run: SegmentRun) -> dict[str, Any]:
    """Rows of Dice by cross-validation by what they are of: configurations, of each method where there are several."""
    own, beside = run.record.found.get("dice", {}), run.beside
    if not beside:
        return dict(own)
    found = {of_method(name, run.record.method): row for name, row in own.items()}
    for method, other in beside.items():
        found |= {of_method(name, method): row for name, row in other.record.found.get("dice", {}).items()}
    return found


def about_folds(run: SegmentRun) -> tuple[str, ...]:
    """What was learnt from; for each method beside: the same folds, or which are missing and Dice of both on others."""
    beside = (sentence for other in run.beside.values() for sentence in _about_folds(run, other))
    return (*about_labels(run), *beside)


def _about_folds(run: SegmentRun, other: SegmentRun) -> Iterator[str]:
    mine, its = run.record.method, other.record.method
    if run.record.trained == other.record.trained:
        yield f"{its} was trained beside {mine}: the same folds, for as many steps."
        return
    for name, folds in run.record.trained.items():
        there = other.record.trained.get(name, [])
        shared = sorted({*folds} & {*there})
        if folds == there:
            yield f"{name}: {its} was trained beside {mine}: the same folds, for as many steps."
        elif not shared:
            yield f"{name}: {its} is not trained on a fold of {mine} yet: they cannot be compared."
        else:
            a, b = (_mean(one, name, shared) for one in (run, other))
            yield (
                f"{name}: {mine} is trained on {named_folds(folds)}, {its} on {named_folds(there)}: their rows are of "
                f"other cases. On {named_folds(shared)} mean Dice is {a} by {mine}, {b} by {its}, after as many steps."
            )


def _mean(run: SegmentRun, name: str, folds: Sequence[int]) -> str:
    """Mean Dice of validation cases of these folds, in words."""
    return number(row_of(cases_of(run, name, folds), folds, run.record.classes)["mean"], 3)
