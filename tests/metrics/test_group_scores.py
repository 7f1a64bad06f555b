"""Scores by group are those of merged classes; answers are counted as they are right."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SegmentationMap
from hyperseg.core.groups import ClassGroups, Fallback
from hyperseg.metrics import confusion, scores
from hyperseg.metrics.groups import merged_confusion, score_answers

OF = (0, 1, 0, 2, 1)
GROUPS = ClassGroups(("a", "b", "c"), OF)


def test_merged_confusion_is_the_confusion_of_merged_labels() -> None:
    rng = np.random.default_rng(0)
    truth, said = (rng.integers(-1, 5, 400) for _ in range(2))
    merged = merged_confusion(confusion(truth, said, 5), OF)
    np.testing.assert_array_equal(merged, confusion(GROUPS.labels(truth), GROUPS.labels(said), 3))
    square = confusion(truth, said, 5)[:, :5]
    np.testing.assert_array_equal(merged_confusion(square, OF), merged[:, :3])


def test_by_group_nothing_that_was_right_is_wrong() -> None:
    rng = np.random.default_rng(1)
    table = rng.integers(0, 30, (5, 6))
    assert scores(merged_confusion(table, OF)).oa > scores(table).oa
    one_each = merged_confusion(table, (0, 1, 2, 3, 4))
    np.testing.assert_array_equal(one_each, table)


def test_answers_are_right_by_class_or_by_group() -> None:
    p = np.array([
        [0.9, 0.0, 0.1, 0.0, 0.0],  # class 0, true 0: right
        [0.9, 0.0, 0.1, 0.0, 0.0],  # class 0, true 2: wrong, though of its group
        [0.4, 0.2, 0.4, 0.0, 0.0],  # group a, true 2: right; class 0 would be wrong
        [0.4, 0.2, 0.4, 0.0, 0.0],  # group a, true 1: wrong
        [0.3, 0.3, 0.1, 0.3, 0.0],  # unsure, true 0: the class would be right
        [0.3, 0.3, 0.1, 0.3, 0.0],  # unsure, not scored
        [0.3, 0.3, 0.1, 0.3, 0.0],  # no data
    ], np.float32)[None]  # fmt: skip
    truth = np.array([[0, 2, 2, 1, 0, -1, -1]], np.int16)
    valid = np.array([[True] * 6 + [False]])
    names = tuple("vwxyz")
    map = SegmentationMap(p, names, ((0, 0, 0),) * 5, valid=valid)
    found = score_answers(map, Fallback(GROUPS, 0.5), truth)
    third = pytest.approx(100 / 3)
    assert found == {
        "class": {"share": third, "pixels": 2, "right": 50, "as_class": 50, "as_group": 100},
        "group": {"share": third, "pixels": 2, "right": 50, "as_class": 0, "as_group": 50},
        "unsure": {"share": third, "pixels": 1, "right": None, "as_class": 100, "as_group": 100},
    }


def test_what_was_never_answered_is_not_known() -> None:
    map = SegmentationMap(np.eye(5, dtype=np.float32)[None], tuple("vwxyz"), ((0, 0, 0),) * 5)
    found = score_answers(map, Fallback(GROUPS, 1), np.arange(5, dtype=np.int16)[None])
    assert found["class"]["right"] == 100
    assert found["group"] == {"share": 0, "pixels": 0, "right": None, "as_class": None, "as_group": None}
