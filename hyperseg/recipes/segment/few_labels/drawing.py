"""So many labelled cases for each fold, drawn from as many patients as there are."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from hyperseg.core import UNLABELLED, SplitError
from hyperseg.core.words import counted, listed, number
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.recipes.segment.checks import labelled_classes

log = logging.getLogger(__name__)
Names = tuple[str, ...]


def draw_labelled(cases: Sequence[Case], folds: Sequence[Names], n: int, seed: int) -> tuple[Names, ...]:
    """For each fold the names of `n` of its training cases, in ascending order; the rest is not learnt from.

    Patients come in a random order: one case of each, drawn among its own, before any gives a second one. More cases of
    the same seed are those of fewer, and others. The order of `cases` does not matter.

    Args:
        cases: with labels.
        folds: names that each fold holds out.
        n: of each fold.
        seed: of the draw.

    Raises:
        SplitError: a fold has fewer training cases.
    """
    found = []
    for fold, held in enumerate(folds):
        free = [case for case in cases if case.name not in held]
        if not 1 <= n <= len(free):
            raise SplitError(
                f"--labelled {n}: fold {fold} has {counted(len(free), 'training case')}; ask for 1 to {len(free)}, or "
                "leave it out: then all are learnt from."
            )
        found.append(tuple(sorted(_in_order(free, np.random.default_rng([seed, fold]))[:n])))
    return tuple(found)


def _in_order(cases: Sequence[Case], rng: np.random.Generator) -> list[str]:
    of: dict[str, list[str]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.name):
        of[case.group or case.name].append(case.name)
    groups = sorted(of)
    shuffled = [[of[groups[g]][i] for i in rng.permutation(len(of[groups[g]]))] for g in rng.permutation(len(groups))]
    rounds = max(map(len, shuffled))
    return [names[turn] for turn in range(rounds) for names in shuffled if turn < len(names)]


def learnt_from(name: str, held: Names, labelled: Sequence[Names], fold: int) -> bool:
    """Whether a case is a training case of a fold: among those drawn for it, or else none of those held out."""
    return name in labelled[fold] if labelled else name not in held


def warn_of_lacking(
    folder: CaseFolder, labelled: Sequence[Names], which: Collection[int], classes: Sequence[str]
) -> None:
    """Say which classes the drawn cases of a fold lack: they cannot be learnt, and are not called an error here.

    Raises:
        LabelError: a label that cannot be read.
    """
    seen: dict[str, set[int]] = {}
    for fold in sorted(which):
        found: set[int] = set()
        for name in labelled[fold]:
            if name not in seen:
                seen[name] = labelled_classes(folder, folder.case(name)) - {UNLABELLED}
            found |= seen[name]
        if missing := [classes[k] for k in range(1, len(classes)) if k not in found]:
            log.warning(
                "fold %d: what was drawn to learn from, %s, has no %s: it cannot be learnt from there. Another "
                "--seed draws others, a larger --labelled more.",
                fold, counted(len(labelled[fold]), "case"), listed(missing, last="or"),
            )  # fmt: skip


def mean_left(labelled: Sequence[Names], folds: Sequence[Names]) -> str:
    """How many training cases of a fold stay unused, on average, in words."""
    every = sum(map(len, folds))
    left = [every - len(held) - len(names) for held, names in zip(folds, labelled, strict=True)]
    mean = number(sum(left) / len(left), 0 if len(set(left)) == 1 else 1)
    return mean if len(set(left)) == 1 else f"on average {mean}"
