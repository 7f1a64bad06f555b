"""What would stop a network at its first step, said before cases are prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import has_begun
from hyperseg.recipes.segment.folder import WEIGHTS, fold_folder
from hyperseg.recipes.segment.methods.chosen import CaseMethod


def check_ready(
    methods: Mapping[Path, CaseMethod], plan: Plan, work: Iterable[tuple[Configuration, Sequence[int]]]
) -> None:  # fmt: skip
    """Nothing stands against the first step of those networks that have none behind them.

    Args:
        methods: by the folder of the run that is, or will be, theirs.
        plan: of all of them.
        work: configurations, and the folds of each.

    Raises:
        SettingError, RunError: what a trick of the method says.
    """
    n_classes = len(plan.facts.classes)
    for one, folds in work:
        for root, method in methods.items():
            here = [fold_folder(root, one.name, fold) for fold in folds]
            if not all((folder / WEIGHTS).exists() or has_begun(folder) for folder in here):
                method.check_ready(one, n_classes)
