"""What refiners tell that choose their settings on validation pixels."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.settings import to_json

if TYPE_CHECKING:
    from hyperseg.crf.tune import Tuned


def tuned_numbers(name: str, tuned: Tuned[Any]) -> dict[str, Any]:
    """What was chosen and what was tried, as JSON; percent, like every accuracy of a report."""
    return {
        "name": name,
        "settings": None if tuned.settings is None else to_json(tuned.settings),
        "validation_pixels": tuned.n_pixels,
        "table": [{**to_json(row), "score": 100 * row.score, "changed": 100 * row.changed} for row in tuned.table],
    }


def with_changes(
    numbers: dict[str, Any], before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split
) -> dict[str, Any]:
    """The numbers with what the refiner did to the test pixels of every class."""
    from hyperseg.crf.tune import changes

    assert scene.labels is not None
    return numbers | {"changes": [asdict(c) for c in changes(before, after, scene.labels, split.test)]}
