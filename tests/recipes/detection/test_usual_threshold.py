"""The score from which a box usually counts: one false alarm per scan on cases that were held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hyperseg.metrics.froc import Marks, Truth, froc
from hyperseg.recipes.detection.trying import Tried

OBJECT, ELSEWHERE = (0.0, 0, 0, 4, 4, 4), (20.0, 20, 20, 24, 24, 24)


def tried(*scans: Sequence[tuple[tuple[float, ...], float]]) -> Tried:
    """Scans with one object each, and what was found in them: (box, score)."""
    found = {
        f"c{i}": Marks(np.array([box for box, _ in scan]).reshape(-1, 6), np.array([score for _, score in scan]))
        for i, scan in enumerate(scans)
    }
    truth = {name: Truth(np.array([OBJECT])) for name in found}
    return Tried(found, truth, froc(list(found.values()), list(truth.values())), (0.0, 1.0), 0.0)


def test_with_the_usual_score_there_is_at_most_one_false_positive_per_scan() -> None:
    one = tried([(OBJECT, 0.04), (ELSEWHERE, 0.03), (ELSEWHERE, 0.02)], [(ELSEWHERE, 0.035), (OBJECT, 0.01)])
    assert one.threshold == 0.03  # two false ones in two scans; the next would be a third
    kept = [marks.scores >= one.threshold for marks in one.found.values()]
    assert sum(map(int, map(np.sum, kept))) == 3
    assert one.numbers()["threshold"] == one.threshold


def test_where_the_surest_boxes_are_many_false_ones_only_they_count() -> None:
    assert tried([(ELSEWHERE, 0.9), (ELSEWHERE, 0.9), (OBJECT, 0.1)]).threshold == 0.9


def test_where_nothing_is_found_the_score_is_finite() -> None:
    assert tried([]).threshold == pytest.approx(0)
