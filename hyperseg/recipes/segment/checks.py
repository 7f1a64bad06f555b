"""What makes a training impossible, said before it begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from hyperseg.core import LabelError, SettingError
from hyperseg.core.words import counted, listed
from hyperseg.data.cases import folds
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Training

log = logging.getLogger(__name__)


def check_plan(plan: Plan, folder: CaseFolder) -> None:
    """A plan is of this folder's classes and channels, its schedule is whole, and every class is in some label.

    Raises:
        SettingError, LabelError: it is not.
    """
    for what, planned, there in (
        ("classes", plan.facts.classes, folder.classes), ("channels", plan.facts.channels, folder.channels),
    ):  # fmt: skip
        if planned != there:
            raise SettingError(
                f"the plan is for the {what} {', '.join(planned)}; {folder.root} has {', '.join(there)}. Plan this "
                "folder by hyperseg segment plan."
            )
    check_schedule(plan.training)
    empty = [name for name, n in zip(plan.facts.classes, plan.facts.counts, strict=True) if n == 0]
    if empty:
        raise LabelError(
            f"{folder.root}: no label holds {listed(empty)}. Label it, or take the class out of dataset.json."
        )
    if len(plan.facts.classes) < 2:
        raise LabelError(f"{folder.root}: labels hold {plan.facts.classes[0]} alone: there is nothing to tell apart.")


def check_schedule(training: Training) -> None:
    """SGD falls by a power over epochs, Adam on a plateau: no numbers of one preset go with those of another.

    Raises:
        SettingError: a plan changed by hand, in which they do not belong together.
    """
    schedule = training.schedule
    falls = schedule.power is not None and schedule.epochs is not None
    if training.optimiser.kind == "sgd" and not falls:
        raise SettingError("the plan's optimiser is sgd: give schedule.epochs and schedule.power, as preset v2 does.")
    if training.optimiser.kind == "adam" and schedule.plateau is None:
        raise SettingError("the plan's optimiser is adam: give schedule.plateau, as preset msd2018 does.")


def chosen_folds(folder: CaseFolder, n: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """The plan's number of folds, or as many as there are groups.

    Raises:
        SplitError: fewer than two groups.
    """
    groups = len({case.group or case.name for case in folder.cases})
    if 2 <= groups < n:
        log.info("%s: %s for %d folds: each is a fold of its own.", folder.root, counted(groups, "group"), n)
        n = groups
    return folds(folder.cases, n, seed)


def check_classes(
    stored: Mapping[str, StoredCase], held_out: Collection[str], classes: tuple[str, ...], fold: int
) -> None:
    """Every class is in some case that a fold learns from.

    Raises:
        LabelError: one is not.
    """
    train = [case for name, case in stored.items() if name not in held_out]
    for class_ in range(1, len(classes)):
        if not any(case.has(class_) for case in train):
            there = [name for name in held_out if stored[name].has(class_)]
            where = f"only {listed(there, most=4)} has it, held out by this fold" if there else "no case has it"
            raise LabelError(
                f"fold {fold}: {classes[class_]} is in no training case: {where}. Label more cases, or take the "
                "class out of dataset.json."
            )
