"""What was trained before a run goes on: whole or not, by which plan, and for how long."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hyperseg.core import RunError
from hyperseg.core.words import one_line
from hyperseg.io.write.runs import seal
from hyperseg.medical.configuration import Configuration
from hyperseg.recipes.segment.fold import STEPS, Budget
from hyperseg.recipes.segment.folder import PLAN, WEIGHTS, SegmentRun, fold_folder, trained_folds
from hyperseg.recipes.segment.resuming.history import read_history

log = logging.getLogger(__name__)


def check_standing(run: SegmentRun) -> None:
    """Trained and unfinished folds are of the run's plan, with their histories; damaged weights are removed.

    A fold without weights is one that is not trained yet. Call it with the run's lock.

    Raises:
        RunError: networks of another plan, or a history that cannot be read.
    """
    expected = seal(run.plan)
    for name in (one.name for one in run.plan.configurations):
        for fold in trained_folds(run, name):
            file = fold_folder(run.root, name, fold) / WEIGHTS
            try:
                found = _seal_of(file)
            except ValueError as error:
                log.warning("%s: damaged (%s), and removed: fold %d of %s is to be trained again.", file, error, fold,
                            name)  # fmt: skip
                file.unlink()
                continue
            _check_seal(run, file, found, expected)
            read_history(run, name, fold)
        for note, begun in _unfinished(run, name):
            _check_seal(run, note.parent, begun.get("plan", expected), expected)


def budgets_of(
    run: SegmentRun, work: Sequence[tuple[Configuration, Sequence[int]]], asked: Collection[str], budget: Budget, *,
    as_begun: bool,
) -> dict[str, Budget]:  # fmt: skip
    """How long networks of each configuration are trained: all folds of one alike.

    Args:
        run: whose folds are whole, see `check_standing`.
        work: configurations and folds to be trained.
        asked: names that the user, or a default, wants; others are first networks of cascades.
        budget: of those that have not been begun.
        as_begun: the others go on as they were begun, whatever `budget` says.

    Raises:
        RunError: one was begun with another budget.
    """
    found: dict[str, Budget] = {}
    for one, which in work:
        begun = _begun_with(run, one.name)
        missing = set(which) - set(trained_folds(run, one.name))
        found[one.name] = begun if begun is not None and as_begun else budget
        if begun not in (None, found[one.name]) and (missing or one.name in asked):
            raise RunError(
                f"{run.root}: {one.name} was begun with {_told(begun)}. Resume with the same or with neither --steps "
                "nor --minutes, or train into another folder."
            )
    return found


def _begun_with(run: SegmentRun, name: str) -> Budget | None:
    """Of the first fold that is trained, else of one that is unfinished; None where there is none that says so."""
    histories = (read_history(run, name, fold) for fold in trained_folds(run, name))
    for one in (*histories, *(begun for _, begun in _unfinished(run, name))):
        if "budget" in one:
            return Budget(**one["budget"])
    return None


def _unfinished(run: SegmentRun, name: str) -> Iterator[tuple[Path, dict[str, object]]]:
    for fold in range(len(run.record.folds)):
        note = fold_folder(run.root, name, fold) / STEPS
        if note.exists():
            yield note, json.loads(note.read_text(encoding="utf-8"))


def _told(budget: Budget) -> str:
    if budget.minutes is None and budget.steps is None:
        return "the steps of the plan"
    return f"--steps {budget.steps}" if budget.minutes is None else f"--minutes {budget.minutes:g}"


def _seal_of(file: Path) -> str | None:
    """Of the plan that weights were trained with; the head of the file is read, which knows how long it is.

    Raises:
        ValueError: damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return (opened.metadata() or {}).get("plan")
    except (SafetensorError, OSError) as error:
        raise ValueError(one_line(str(error), 100)) from error


def _check_seal(run: SegmentRun, where: Path, found: object, expected: str) -> None:
    if found != expected:
        raise RunError(
            f"{where}: was trained with another plan than {run.root / PLAN} is now. Put that file back as it was, or "
            "train with --plan into another folder."
        )
