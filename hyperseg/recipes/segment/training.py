"""From a folder and a plan to trained networks: every fold, then what cross-validation decides."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import listed
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.caching import cache_cases
from hyperseg.recipes.segment.checks import check_classes, check_labels, check_plan, chosen_folds
from hyperseg.recipes.segment.fold import Budget, train_fold
from hyperseg.recipes.segment.folder import Record, SegmentRun, trained_folds, write_run
from hyperseg.recipes.segment.planning import refuse_faults
from hyperseg.recipes.segment.starting import BUDGET, CACHE, refuse_existing, start
from hyperseg.recipes.segment.summing import summed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        budget: of each network.
        configurations: names of the plan; none leaves it to the plan: "3d" for volumes, "2d" for pictures.
        fold: the only one, or None for all.
    """

    budget: Budget
    configurations: tuple[str, ...] = ()
    fold: int | None = None


def train_cases(
    folder: CaseFolder, plan: Plan, root: Path, order: Order, runtime: Runtime, *, resume: bool = False,
    overwrite: bool = False,
) -> SegmentRun:  # fmt: skip
    """Train networks of a plan by cross-validation into a run folder.

    Prepared cases lie in a folder of the run while it is trained, on disk, and are removed in the end. Networks
    that are there already are not trained again; an unfinished one goes on where it stopped.

    Args:
        folder: as `open_cases` gives it.
        plan: of this folder; of a run that is resumed, its own.
        root: the run's folder.
        order: which networks, and how long.
        runtime: seed, device and progress.
        resume: go on with the run that is there.
        overwrite: a run that is there is removed.

    Raises:
        RunError: the folder holds a run, or another one than would be resumed.
        SettingError, SplitError, LabelError, SceneError, DataFileError: an order that cannot be done, before training.
    """
    refuse_existing(root, resume=resume, overwrite=overwrite)
    refuse_faults(folder)
    check_plan(plan, folder)
    names = order.configurations or (plan.configurations[min(1, len(plan.configurations) - 1)].name,)
    chosen = [configuration_of(plan, name) for name in dict.fromkeys(names)]
    parts = chosen_folds(folder, plan.training.inference.folds, runtime.seed)
    which = _folds_of(order.fold, parts)
    check_labels(folder, parts, which, plan.facts.classes)
    record = Record(
        str(folder.root), folder.classes, folder.codes, folder.channels, runtime.seed, parts, versions=_versions(),
        spacing=folder.spacing, found={BUDGET: asdict(order.budget)},
    )  # fmt: skip
    run = start(root, plan, record, resume=resume, overwrite=overwrite)
    lock = take(root)
    try:
        for configuration in chosen:
            _train_configuration(run, folder, configuration, which, order.budget, runtime)
        run = _noted(run)
        shutil.rmtree(root / CACHE, ignore_errors=True)
    finally:
        lock.release()
    return run


def configuration_of(plan: Plan, name: str) -> Configuration:
    """A configuration that can be trained by itself.

    Raises:
        SettingError: there is none of this name, or it reads the answer of another one.
    """
    found = plan.configuration(name)
    if found.after:
        others = listed((c.name for c in plan.configurations if not c.after), last="or")
        raise SettingError(f"{name} learns from the answers of {found.after}, which is not built yet: use {others}.")
    return found


def _folds_of(fold: int | None, parts: Sequence[Any]) -> tuple[int, ...]:
    if fold is None:
        return tuple(range(len(parts)))
    if not 0 <= fold < len(parts):
        raise SettingError(f"fold {fold} is unknown: there are {len(parts)}, numbered from 0. Or train all of them.")
    return (fold,)


def _train_configuration(
    run: SegmentRun, folder: CaseFolder, configuration: Configuration, which: Sequence[int], budget: Budget,
    runtime: Runtime,
) -> None:  # fmt: skip
    missing = [fold for fold in which if fold not in trained_folds(run, configuration.name)]
    if not missing:
        return
    with counted_progress(f"Preparing cases for {configuration.name}", unit="cases", quiet=runtime.quiet) as progress:
        stored = cache_cases(
            folder, run.plan, configuration, run.root / CACHE / configuration.name, progress=progress
        )  # fmt: skip
    for fold in missing:
        check_classes(stored, run.record.folds[fold], run.plan.facts.classes, fold)
    for fold in missing:
        train_fold(run, folder, configuration, fold, stored, budget, runtime)
        _noted(run)  # whatever comes, this fold can predict
    shutil.rmtree(run.root / CACHE / configuration.name, ignore_errors=True)


def _noted(run: SegmentRun) -> SegmentRun:
    """Note in run.json what has been trained, and what cross-validation says of it."""
    trained: dict[str, list[int]] = {}
    for configuration in run.plan.configurations:
        if there := trained_folds(run, configuration.name):
            trained[configuration.name] = list(there)
    found = summed(run, trained)
    chosen, largest = found.chosen, found.largest
    record = replace(
        run.record, trained=trained, chosen=chosen, largest=largest, found={**run.record.found, **found.numbers}
    )  # fmt: skip
    return write_run(run.root, run.plan, record)


def _versions() -> dict[str, str]:
    from hyperseg.recipes.run.outputs import versions

    return versions()
