"""Linear discriminant analysis with shrinkage, on means of 3 x 3 pixels."""

from __future__ import annotations

from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.task import Task
from hyperseg.hsi.classical import fit_lda
from hyperseg.recipes.methods.classical import classical_method


def check(task: Task, settings: Any) -> None:
    """More training pixels than classes."""
    n_train, n_classes = int(task.split.train.sum()), task.n_classes - len(task.split.untrainable)
    if n_train <= n_classes:
        raise SettingError(
            f"{LDA.name} needs more training pixels than classes, the split gives {n_train} for {n_classes}: train on "
            "more, or choose another method."
        )


LDA = classical_method("lda", fit_lda, window=3, check=check)
