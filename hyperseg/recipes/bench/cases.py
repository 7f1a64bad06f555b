"""Cases of a folder as benchmarks take them: some or all, in folds, prepared once, read once; their Dice and IoU."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg.core import DataFileError, Scene, SplitError
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted
from hyperseg.data.cases import folds
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import CaseFolder, read_case
from hyperseg.io.formats import is_data
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.caching import cache_cases
from hyperseg.recipes.segment.checks import check_classes
from hyperseg.recipes.segment.choosing import class_means, dice
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.planning import read_folder, refuse_faults
from hyperseg.recipes.segment.prediction.one_case import predict_case

if TYPE_CHECKING:
    from torch import nn

MOST_BYTES = 10**9  # of cases that a process holds
DICE, IOU = "Dice", "IoU"
Parts = tuple[tuple[str, ...], ...]
"""Names of the cases of each fold."""


def is_folder(target: str | Path) -> bool:
    """Whether a folder of images or volumes is meant, not a scene.

    Raises:
        DataFileError: a path that is not there.
    """
    path = Path(target)
    if path.is_dir() and not is_data(path):
        return True
    if not path.exists() and (path.suffix == "" and len(path.parts) > 1):
        raise DataFileError(f"{target}: no such folder or file. Name a folder of images or volumes, or a scene.")
    return False


def taken(folder: CaseFolder, n: int, seed: int) -> CaseFolder:
    """About so many of the cases, drawn by the seed, groups whole: groups are taken until there are enough."""
    if not n or n >= len(folder.cases):
        return folder
    of: dict[str, list[str]] = {}
    for case in folder.cases:
        of.setdefault(case.group or case.name, []).append(case.name)
    kept: set[str] = set()
    names = sorted(of)
    for index in np.random.default_rng(seed).permutation(len(names)):
        if len(kept) < n:
            kept |= set(of[names[index]])
    return replace(folder, cases=tuple(case for case in folder.cases if case.name in kept))


def divided(
    target: Path, spacing: tuple[float, ...], classes: tuple[str, ...], *, cases: int, n_folds: int, seed: int,
    quiet: bool,
) -> tuple[CaseFolder, Parts]:  # fmt: skip
    """The cases of a folder that a benchmark takes, and its folds.

    Args:
        target: the folder.
        spacing, classes: see `read_folder`.
        cases: how many of them, 0 for all.
        n_folds: 2 or more.
        seed: of cases and folds.
        quiet: no progress.

    Raises:
        DataFileError, LabelError, SplitError: a folder that cannot be used, or with too few cases for the folds.
    """
    folder = read_folder(target, spacing, classes, quiet=quiet)
    refuse_faults(folder)
    folder = taken(folder, cases, seed)
    groups = len({case.group or case.name for case in folder.cases})
    if groups < n_folds:
        raise SplitError(
            f"{target}: {counted(len(folder.cases), 'labelled case')} in {counted(groups, 'group')}, but "
            f"{n_folds} folds need {n_folds} groups or more. Ask for fewer --folds, or label more."
        )
    return folder, folds(folder.cases, n_folds, seed)


def preparation_of(plan: Plan, configuration: str) -> str:
    """What decides how a case is prepared, as a checksum: rows that have it in common share prepared cases."""
    one = plan.configuration(configuration)
    parts = [plan.axes, plan.normalisations, plan.training.resampling, one.spacing, one.n_axes]
    return hashlib.sha256(json.dumps(to_json(parts), sort_keys=True).encode()).hexdigest()[:16]


def stored_cases(
    folder: CaseFolder, plan: Plan, configuration: str, place: Path, prints: Mapping[str, str],
    parts: Sequence[Sequence[str]], *, quiet: bool,
) -> Mapping[str, StoredCase]:  # fmt: skip
    """All cases as a configuration of a plan prepares them, by name; see `cache_cases`.

    Raises:
        LabelError: a class that is in no case that a fold learns from.
    """
    with counted_progress("Preparing cases", unit="cases", quiet=quiet) as progress:
        stored = cache_cases(folder, plan, plan.configuration(configuration), place, prints, progress=progress)
    for fold, part in enumerate(parts):
        check_classes(stored, part, plan.facts.classes, fold)
    return stored


@dataclass
class Held:
    """Cases that a process has read."""

    folder: CaseFolder
    scenes: dict[str, Scene] = field(default_factory=dict)
    bytes: int = 0

    def scene(self, name: str) -> Scene:
        """A case, read once as long as there is room."""
        if name in self.scenes:
            return self.scenes[name]
        scene = read_case(self.folder, self.folder.case(name))
        cube = np.asarray(scene.cube[:])
        scene = scene.with_(cube=cube)
        self.bytes += cube.nbytes
        if self.bytes < MOST_BYTES:
            self.scenes[name] = scene
        return scene


def case_dice(
    scene: Scene, net: nn.Module, plan: Plan, configuration: str, method: CaseMethod, *, mirror: bool, device: str,
    seed: int,
) -> tuple[float, ...]:  # fmt: skip
    """Dice of every foreground class of a case, predicted by one network."""
    found = predict_case(
        scene, plan, {configuration: [net]}, [configuration], mirror=mirror, device=device, method=method, seed=seed
    )
    truth = np.asarray(scene.labels)
    return tuple(dice(found, truth, k) for k in range(1, len(plan.facts.classes)))


def case_scores(dices: Sequence[Sequence[float]], classes: tuple[str, ...]) -> dict[str, float | None]:
    """Means over cases and classes; None of what no case has and no network found. IoU is D / (2 - D) of each case."""
    table = np.array(dices, np.float64)
    found: dict[str, float | None] = {}
    for what, values in ((DICE, table), (IOU, table / (2 - table))):
        means = class_means(values.tolist())
        there = ~np.isnan(means)
        found[what] = float(means[there].mean()) if there.any() else None
        found |= {f"{what} {name}": float(m) if ok else None for name, m, ok in zip(classes, means, there, strict=True)}
    return found
