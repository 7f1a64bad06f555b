"""Average precision by hand, at its limits, and against scikit-learn where they mean the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics.froc import Marks, Truth
from hyperseg.metrics.precision import OVERLAPS, average_precision, mean_average_precision

NONE = np.zeros((0, 4))


def square(*corners: tuple[float, float], side: float = 10.0) -> NDArray[np.float64]:
    lo = np.array(corners, np.float64)
    return np.concatenate([lo, lo + side], 1)


A, B, AWAY = (0.0, 0.0), (20.0, 20.0), (50.0, 50.0)


def test_by_hand() -> None:
    """Right, false, right, false (a second box on A) among three objects: 1/3 at precision 1, 1/3 at precision 2/3."""
    truth = [Truth(square(A, B)), Truth(square(A))]
    found = [Marks(square(A, AWAY, (1, 0)), np.array([0.9, 0.8, 0.6])), Marks(square(A), np.array([0.7]))]
    assert average_precision(found, truth, overlap=0.5) == pytest.approx((1 + 2 / 3) / 3)


def test_at_its_limits() -> None:
    truth = [Truth(square(A, B)), Truth(NONE)]
    perfect = [Marks(square(A, B), np.array([0.3, 0.2])), Marks(NONE, np.zeros(0))]
    assert mean_average_precision(perfect, truth) == 1
    assert mean_average_precision([Marks(NONE, np.zeros(0))] * 2, truth) == 0
    worse = [perfect[0], Marks(square(A, B), np.array([0.1, 0.05]))]
    assert mean_average_precision(worse, truth) == 1  # false boxes below all objects cost nothing
    before = [perfect[0], Marks(square(A), np.array([0.9]))]
    assert average_precision(before, truth, overlap=0.5) == pytest.approx(2 / 3)


def test_the_mean_is_over_overlaps() -> None:
    """A box moved by a quarter of its side overlaps by 0.6, one by a half of it by a third."""
    truth = [Truth(square(A, B))]
    found = [Marks(square((2.5, 0), (25.0, 20)), np.array([0.9, 0.8]))]
    assert average_precision(found, truth, overlap=0.3) == 1
    assert average_precision(found, truth, overlap=0.5) == 0.5
    assert average_precision(found, truth, overlap=0.61) == 0
    enough = [sum(value >= o for value in (0.6, 1 / 3)) / 2 for o in OVERLAPS]
    assert mean_average_precision(found, truth) == pytest.approx(np.mean(enough))


def test_equal_scores_pass_together_in_any_order() -> None:
    rng = np.random.default_rng(0)
    boxes = square(A, AWAY, (60, 60), B)
    truth, scores = [Truth(square(A, B))], np.array([0.5, 0.5, 0.5, 0.5])
    for _ in range(5):
        order = rng.permutation(4)
        assert average_precision([Marks(boxes[order], scores)], truth, overlap=0.5) == 0.5


def test_a_box_takes_the_object_of_its_largest_overlap_that_is_free() -> None:
    """The first has 9/11 of A and 7/13 of the other: it takes A. The second has all of A, and 6/14 of the other."""
    truth = [Truth(square(A, (4.0, 0.0)))]
    found = [Marks(square((1.0, 0.0), A), np.array([0.9, 0.8]))]
    assert average_precision(found, truth, overlap=6 / 14 - 1e-9) == 1
    assert average_precision(found, truth, overlap=6 / 14 + 1e-9) == 0.5
    together = [Marks(found[0].boxes, np.array([0.9, 0.9]))]  # the second goes first, and both find one
    assert average_precision(together, truth, overlap=0.5) == 1


def test_excluded_findings_count_for_nothing() -> None:
    found = [Marks(square(AWAY, A), np.array([0.9, 0.8]))]
    assert average_precision(found, [Truth(square(A))], overlap=0.5) == 0.5
    assert average_precision(found, [Truth(square(A), excluded=square(AWAY))], overlap=0.5) == 1


def test_without_doubles_it_is_the_area_under_the_envelope() -> None:
    """All objects found once: precision over recall of a ranking, as scikit-learn counts it."""
    from sklearn.metrics import precision_recall_curve

    rng = np.random.default_rng(3)
    right = rng.random(40) < 0.4
    corners = [(30.0 * i, 0.0) for i in range(40)]
    scores = rng.integers(0, 15, 40) / 15
    truth = [Truth(square(*[c for c, r in zip(corners, right, strict=True) if r]))]
    precision, recall, _ = precision_recall_curve(right, scores)
    envelope = np.maximum.accumulate(precision[:-1])  # from the lowest threshold to the highest
    expected = (-np.diff(recall) * envelope).sum()
    assert average_precision([Marks(square(*corners), scores)], truth, overlap=0.5) == pytest.approx(expected)


def test_what_cannot_be_scored_is_refused() -> None:
    empty = Marks(NONE, np.zeros(0))
    with pytest.raises(LabelError, match="no object in any of 1 scans"):
        average_precision([empty], [Truth(NONE)], overlap=0.5)
    with pytest.raises(SettingError, match="lists of 1 and 2"):
        average_precision([empty], [Truth(NONE)] * 2, overlap=0.5)
    with pytest.raises(SettingError, match="above 0"):
        average_precision([empty], [Truth(square(A))], overlap=0)
    with pytest.raises(SettingError, match="at least one"):
        mean_average_precision([empty], [Truth(square(A))], overlaps=())
    with pytest.raises(SettingError, match="2 axes were compared with boxes of 3"):
        average_precision([Marks(np.zeros((1, 6)), np.ones(1))], [Truth(square(A))], overlap=0.5)
