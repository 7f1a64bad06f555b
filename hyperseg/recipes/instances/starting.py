"""How a training of Mask R-CNN begins: who is learnt from, and whether a run may go on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import sweep
from hyperseg.core.runtime import check_minutes
from hyperseg.core.settings import changed, leaves, to_json
from hyperseg.data.cases import folds
from hyperseg.io.cases import CaseFolder
from hyperseg.io.cases.case import Case
from hyperseg.io.write.runs import budget_begun, check_prints
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.instances.folder import (
    FOUND,
    METRICS,
    REPORT,
    UNFINISHED,
    WEIGHTS,
    InstanceRun,
    Record,
    read_run,
    write_run,
)
from hyperseg.recipes.instances.settings import InstanceSettings

FOLDS = 5
MINUTES = 10.0  # where nobody says


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        method: its name in the table.
        changes: of the settings, by name.
        minutes, steps: how long; at most one of them. Where neither is given, `MINUTES`, or as the run was begun.
        fold: that is held out; the first where nobody says, or as the run was begun.
        alone: the baseline is left out.
    """

    method: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    steps: int | None = None
    fold: int | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        check_minutes(self.minutes)

    @property
    def budget(self) -> dict[str, float]:
        """As the record keeps it."""
        if self.steps is not None:
            return {"steps": self.steps}
        return {"minutes": MINUTES if self.minutes is None else self.minutes}


def settings_of(changes: Mapping[str, Any], begun: InstanceSettings | None = None) -> InstanceSettings:
    """The settings with changes; those of a run that goes on are changed.

    Raises:
        SettingError: no such setting, a value it cannot have, or one that nothing looks at beside the others.
    """
    chosen = changed(InstanceSettings() if begun is None else begun, changes)
    usual = {leaf.path: leaf.value for leaf in leaves(InstanceSettings())}
    if chosen.network.anchors and chosen.network.per_level != usual["network.per_level"]:
        raise SettingError("network.per_level plans anchors, and network.anchors are given: leave one of them out.")
    return chosen


def divided(folder: CaseFolder, fold: int, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """The pictures that are learnt from, and those of the fold that is held out.

    Raises:
        SplitError: fewer pictures than folds.
        SettingError: no such fold.
    """
    parts = folds(folder.cases, FOLDS, seed)
    if not 0 <= fold < FOLDS:
        raise SettingError(f"--fold {fold}: there are {FOLDS} folds, 0 to {FOLDS - 1}.")
    held = set(parts[fold])
    return (
        tuple(case for case in folder.cases if case.name not in held),
        tuple(case for case in folder.cases if case.name in held),
    )


def as_begun(root: Path, order: Order, *, resume: bool) -> tuple[Order, InstanceSettings]:
    """The order and its settings; of a run that goes on with budget, fold and settings of its own where none are given.

    Raises:
        RunError: another budget or fold than it was begun with.
    """
    if not (resume and (root / RECORD).exists()):
        return order, settings_of(order.changes)
    begun = read_run(root).record
    asked = None if order.minutes is None and order.steps is None else order.budget
    fold = begun.fold if order.fold is None else order.fold
    order = replace(order, fold=fold, **budget_begun(root, asked, begun.budget))
    return order, settings_of(order.changes, begun.settings)


def start(root: Path, record: Record, *, resume: bool, overwrite: bool) -> InstanceRun:
    """The run's folder with its record; `refuse_existing` has let it pass. A run that goes on keeps its own record.

    Raises:
        RunError: the run that would go on is another one.
    """
    if resume and (root / RECORD).exists():
        run = read_run(root)
        _check_same(root, run.record, record)
        return run
    if overwrite and (root / RECORD).exists():
        shutil.rmtree(root / FOUND, ignore_errors=True)
        for file in (*root.glob(f"{UNFINISHED}-*"), *(root / name for name in (RECORD, WEIGHTS, METRICS, REPORT))):
            file.unlink(missing_ok=True)
    run = write_run(root, record)
    sweep(root)
    return run


def _check_same(root: Path, begun: Record, now: Record) -> None:
    """Refuse a run that was begun with something else, by its name."""
    remedy = "Resume with the same data and options, or train into another folder."
    check_prints(root, begun.prints, now.prints, remedy=remedy, one="picture")
    for what in ("method", "seed", "fold", "channels", "held_out", "settings", "plan"):
        a, b = to_json(getattr(begun, what)), to_json(getattr(now, what))
        if a != b:
            told = f"{what} {a}, not {b}" if isinstance(a, int | str) else f"other {what}"
            raise RunError(f"{root}: was begun with {told}. {remedy}")
