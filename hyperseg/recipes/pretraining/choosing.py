"""Which images of a folder are learnt from without labels, and what counts as alike among them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from hyperseg.contrast.pairs import Pairs
from hyperseg.core import SettingError
from hyperseg.core.words import counted
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.pretraining.settings import FolderContrast
from hyperseg.recipes.segment.checks import chosen_folds

log = logging.getLogger(__name__)


def cases_of(folder: CaseFolder, plan: Plan, fold: int | None, seed: int) -> list[Case]:
    """The cases that may be looked at, in the order of their names.

    Cases without a label are; those of a test set, which have one that is for scores, are not.

    Raises:
        SettingError: a fold that there is not, or a single image.
    """
    held: tuple[str, ...] = ()
    if fold is not None:
        parts = chosen_folds(folder, plan.training.inference.folds, seed)
        if not 0 <= fold < len(parts):
            raise SettingError(f"fold {fold} is unknown: there are {len(parts)}, numbered from 0.")
        held = parts[fold]
    free = [case for case in folder.unlabelled if case.label is None]
    found = sorted([*(c for c in folder.cases if c.name not in held), *free], key=lambda case: case.name)
    if kept := len(folder.unlabelled) - len(free):
        log.info("%s: %s held back for scores: not looked at.", folder.root, counted(kept, "case is", "cases are"))
    if not found:
        raise SettingError(f"{folder.root}: there is no image to learn from.")
    return found


def pairs_of(chosen: FolderContrast, axes: int, n_cases: int) -> Pairs:
    """The strategy that "auto" stands for, or the one that was asked for.

    Raises:
        SettingError: one that makes no sense there.
    """
    if axes == 2:
        if chosen.pairs not in ("auto", "gr"):
            raise SettingError(
                f"--pairs {chosen.pairs}: partitions are slices at one height of several volumes; these are pictures, "
                "which have none. Take --pairs gr."
            )
        if n_cases < 2:
            raise SettingError("a single picture has nothing to be compared with: give more.")
        replace(chosen, pairs="gr")  # refuses what counts for volumes alone
        return "gr"
    if chosen.pairs == "gd" and n_cases < 2:
        raise SettingError("--pairs gd compares volumes, and there is one: take --pairs gd-, or give more volumes.")
    asked: Any = chosen.pairs
    auto: Pairs = "gd" if n_cases > 1 else "gd-"
    found: Pairs = auto if asked == "auto" else asked
    if found != "gr":
        replace(chosen, pairs=found)  # says whether the batch has room for it
    return found
