"""What makes a training impossible, said before it begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from hyperseg.core import UNLABELLED, LabelError, SettingError, SplitError
from hyperseg.core.sides import mirrored_pair
from hyperseg.core.words import counted, listed
from hyperseg.data.cases import folds
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.io.cases.decode import counted_codes, decode_label
from hyperseg.io.cases.read import classes_of
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Training
from hyperseg.medical.validity.whole import check_plan_values
from hyperseg.recipes.segment.sliding import check_inference

log = logging.getLogger(__name__)


def check_plan(plan: Plan, folder: CaseFolder) -> None:
    """A plan makes sense, is of this folder's classes and channels, and every class is in some label.

    Raises:
        SettingError, LabelError: it is not.
    """
    check_plan_values(plan)
    check_inference(plan.training.inference)
    for what, planned, there in (
        ("classes", plan.facts.classes, folder.classes), ("channels", plan.facts.channels, folder.channels),
    ):  # fmt: skip
        if planned != there:
            raise SettingError(
                f"the plan is for the {what} {', '.join(planned)}; {folder.root} has {', '.join(there)}. Plan this "
                "folder by hyperseg segment plan, with the same --target where there is one."
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


def warn_of_mirrors(plan: Plan, asked: bool | None, *, option: str = "--mirror") -> None:
    """Say that mirror images were asked for though networks see none in training, or classes are each other's."""
    if asked and not plan.training.augmentation.mirror:
        log.warning(
            "%s: answers are averaged over mirror images, but this plan trains without them: its networks have "
            "not learnt mirror images, and answers may become worse.",
            option,
        )
    if asked and (pair := mirrored_pair(plan.facts.classes)):
        log.warning("%s: a mirror image of %s looks like %s, so that one may be taken for the other.", option, *pair)


def chosen_folds(folder: CaseFolder, n: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """The plan's number of folds, or as many as there are groups.

    Raises:
        SplitError: fewer than two groups.
    """
    groups = len({case.group or case.name for case in folder.cases})
    if groups < 2:
        one = counted(len(folder.cases), "labelled case") + (" of one group" if len(folder.cases) > 1 else "")
        raise SplitError(
            f"{folder.root}: {one}, two groups at least were expected: one to learn from and one to test on. Label "
            "more, or cut the image in two."
        )
    if groups < n:
        log.info("%s: %s for %d folds: each is a fold of its own.", folder.root, counted(groups, "group"), n)
        n = groups
    return folds(folder.cases, n, seed)


def check_labels(
    folder: CaseFolder, parts: Sequence[Collection[str]], which: Collection[int], classes: tuple[str, ...]
) -> None:
    """Every class is in some label that a fold learns from; told before cases are prepared, which takes long.

    Label files are read one by one until all classes have been seen: of most data sets a few.

    Raises:
        LabelError: a class is in none.
    """
    seen: dict[str, set[int]] = {}

    def held_by(case: Case) -> set[int]:
        if case.name not in seen:
            seen[case.name] = labelled_classes(folder, case)
        return seen[case.name]

    for fold in which:
        missing = set(range(1, len(classes)))
        for case in folder.cases:
            if not missing:
                break
            if case.name not in parts[fold]:
                missing -= held_by(case)
        if missing:
            class_ = min(missing)
            there = [case.name for case in folder.cases if case.name in parts[fold] and class_ in held_by(case)]
            raise LabelError(_not_learnt(fold, classes[class_], there, folder))


def labelled_classes(folder: CaseFolder, case: Case) -> set[int]:
    """Classes in the label files of a case."""
    files = [path for path in (case.label, *case.also) if path is not None]
    found = (classes_of(path, np.array([*counted_codes(decode_label(path).array)]), folder) for path in files)
    return {int(k) for classes in found for k in classes} - {UNLABELLED}


def _not_learnt(fold: int, name: str, there: Sequence[str], folder: CaseFolder | None = None) -> str:
    where = f"only {listed(there, most=4)} has it, held out by this fold" if there else "no case has it"
    place = "" if folder is None else f"{folder.root}: "
    return (
        f"{place}fold {fold}: {name} is in no training case: {where}. Label more cases, or take the class out of "
        "dataset.json."
    )


def check_classes(
    stored: Mapping[str, StoredCase], held_out: Collection[str], classes: tuple[str, ...], fold: int
) -> None:
    """Every class is in some prepared case that a fold learns from: a small one may be lost when it is resampled.

    Raises:
        LabelError: one is not.
    """
    train = [case for name, case in stored.items() if name not in held_out]
    for class_ in range(1, len(classes)):
        if not any(case.has(class_) for case in train):
            there = [name for name in held_out if stored[name].has(class_)]
            raise LabelError(_not_learnt(fold, classes[class_], there))
