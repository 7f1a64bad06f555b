"""What a reader of a run has to know about few labels and given weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.words import counted
from hyperseg.recipes.segment.few_labels.drawing import mean_left
from hyperseg.recipes.segment.few_labels.weights import SEEN, about_seen

if TYPE_CHECKING:
    from hyperseg.recipes.segment.folder import SegmentRun


def about_labels(run: SegmentRun) -> tuple[str, ...]:
    """How many labels were learnt from, and whether images of held-out cases were seen without theirs."""
    record, found = run.record, []
    trained = {fold for folds in record.trained.values() for fold in folds}
    if record.labelled:
        n, left = len(record.labelled[0]), mean_left(record.labelled, record.folds)
        names = "; ".join(f"fold {fold}: {', '.join(record.labelled[fold])}" for fold in sorted(trained)[:5])
        found.append(
            f"Each fold learns from {counted(n, 'labelled case')} alone, drawn by the seed; {left} more training cases "
            f"of a fold stay unused.{f' Drawn were, {names}.' if names and n <= 8 else ''}"
        )
    if told := about_seen(record.found.get(SEEN) or {}, trained):
        found.append(told)
    return tuple(found)
