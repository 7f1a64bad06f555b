"""FROC by hand, at its limits, and against a threshold after the other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics.froc import RATES, Marks, Truth, cpm_interval, froc


def around(*centres: tuple[float, ...], size: float = 4.0) -> NDArray[np.float64]:
    """(N, 2n) cubes."""
    middle = np.array(centres, np.float64)
    return np.concatenate([middle - size / 2, middle + size / 2], 1)


NONE = np.zeros((0, 6))
A, B, C, OUT, FAR = (10.0, 10, 10), (30.0, 30, 30), (20.0, 20, 20), (40.0, 40, 40), (50.0, 5, 5)
TRUTH = [Truth(around(A, B)), Truth(around(C), excluded=around(OUT)), Truth(NONE)]


def by_hand() -> list[Marks]:
    """Four false positives (0.8, 0.6 in scan 1; 0.5, 0.2 in scan 3) and A at 0.9, B at 0.4, C at 0.7.

    Beside them a second mark on A, worse than its first, and one on an excluded finding, better than all.
    """
    first = around((11.0, 10, 10), (10.0, 11, 10), FAR, (30, 30, 31), (45, 45, 45))
    return [
        Marks(first, np.array([0.9, 0.3, 0.8, 0.4, 0.6])),
        Marks(around(OUT, C), np.array([0.95, 0.7])),
        Marks(around(A, B), np.array([0.5, 0.2])),
    ]


def test_three_scans_by_hand() -> None:
    found = froc(by_hand(), TRUTH)
    assert (found.scans, found.objects) == (3, 3)
    # falling threshold: .9 A, .8 false, .7 C, .6 false, .5 false, .4 B, .2 false
    assert found.curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2]
    assert (3 * found.curve.rates).tolist() == pytest.approx([0, 0, 1, 1, 2, 3, 3, 4])
    assert (3 * found.curve.sensitivities).tolist() == pytest.approx([0, 1, 1, 2, 2, 2, 3, 3])
    assert found.rates == RATES
    expected = [1 / 3, 1 / 3, 2 / 3, 1, 1, 1, 1]  # at 1/8, 1/4 before the first false positive; at 1/2 after it; ...
    assert found.sensitivities == pytest.approx(expected)
    assert found.cpm == pytest.approx(np.mean(expected))


def test_between_operating_points_lies_a_straight_line() -> None:
    """A false positive and an object of one score pass together: half of the way is half of both."""
    marks = [Marks(around(A, FAR), np.array([0.5, 0.5]))]
    found = froc(marks, [Truth(around(A))], rates=(0.0, 0.25, 0.5, 1.0, 8.0))
    assert found.sensitivities == pytest.approx((0.0, 0.25, 0.5, 1.0, 1.0))


def test_the_order_of_ties_does_not_matter() -> None:
    """The line is what a random order of equal scores gives on average, over all of them."""
    rng = np.random.default_rng(0)
    boxes = np.concatenate([around(A, B), around(FAR, (60.0, 5, 5), (70.0, 5, 5))])
    truth, scores = [Truth(around(A, B))], np.ones(5)
    tied = froc([Marks(boxes, scores)], truth, rates=(1, 2))
    for _ in range(5):
        order = rng.permutation(5)
        assert froc([Marks(boxes[order], scores)], truth, rates=(1, 2)).cpm == tied.cpm
    assert tied.sensitivities == pytest.approx((1 / 3, 2 / 3))


def test_a_perfect_detector_has_one_and_an_empty_one_has_zero() -> None:
    perfect = [Marks(t.boxes, np.full(len(t.boxes), 0.5)) for t in TRUTH]
    assert froc(perfect, TRUTH).sensitivities == (1.0,) * 7
    assert froc(perfect, TRUTH).cpm == 1
    empty = [Marks(NONE, np.zeros(0))] * 3
    assert froc(empty, TRUTH).cpm == 0
    assert cpm_interval(empty, TRUTH, seed=0) == (0, 0)
    assert cpm_interval(perfect, TRUTH, seed=0) == (1, 1)


def at_random(seed: int, scans: int = 12) -> tuple[list[Marks], list[Truth], list[tuple[float, ...]]]:
    """Scans with 0 to 3 objects and coarse scores, most marks near objects; voxels of many sizes."""
    rng = np.random.default_rng(seed)
    found, truth, spacings = [], [], []
    for _ in range(scans):
        middles = rng.uniform(0, 40, (rng.integers(0, 4), 3))
        marks = np.concatenate(
            [np.repeat(middles, 2, 0) + rng.normal(0, 2, (2 * len(middles), 3)), rng.uniform(0, 40, (6, 3))]
        )
        size = rng.uniform(2, 8)
        found.append(Marks(around(*marks), rng.integers(0, 12, len(marks)) / 12))
        truth.append(Truth(around(*middles, size=size) if len(middles) else NONE, around(*rng.uniform(0, 40, (2, 3)))))
        spacings.append(tuple(rng.uniform(0.5, 2, 3)))
    return found, truth, spacings


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_one_threshold_after_the_other(seed: int) -> None:
    """Loops over scans, marks and objects, in mm."""
    found, truth, spacings = at_random(seed)
    curve = froc(found, truth, spacings=spacings).curve
    for rate, sensitivity, threshold in zip(curve.rates, curve.sensitivities, curve.thresholds, strict=True):
        hit, false = 0, 0
        for marks, there, spacing in zip(found, truth, spacings, strict=True):
            mm = np.array([*spacing, *spacing])
            kinds = [np.concatenate([there.boxes, there.excluded]) * mm, marks.boxes * mm]
            (middles, sizes), (centres, _) = [((b[:, :3] + b[:, 3:]) / 2, (b[:, 3:] - b[:, :3]).mean(1)) for b in kinds]
            passed = [c for c, s in zip(centres, marks.scores, strict=True) if s >= threshold]
            near = [[np.linalg.norm(c - m) < s / 2 for m, s in zip(middles, sizes, strict=True)] for c in passed]
            hit += sum(any(row[k] for row in near) for k in range(len(there.boxes)))
            false += sum(not any(row) for row in near)
        assert rate == pytest.approx(false / len(truth))
        assert sensitivity == pytest.approx(hit / sum(len(t.boxes) for t in truth))


@pytest.mark.parametrize("seed", range(4))
def test_more_false_positives_never_find_less(seed: int) -> None:
    found, truth, _ = at_random(seed)
    rates = np.linspace(0, 9, 200)
    for values in (froc(found, truth, rates=rates).sensitivities, froc(found, truth).curve.rates):
        assert (np.diff(values) >= 0).all()


def test_the_radius_is_in_millimetres_where_a_spacing_is_given() -> None:
    truth, mark = [Truth(around(A, size=4))], [Marks(around((11.5, 10, 10)), np.ones(1))]
    assert froc(mark, truth).cpm == 1  # 1.5 voxels away, radius 2
    assert froc(mark, truth, spacings=[(1, 1, 1)]).cpm == 1
    assert froc(mark, truth, spacings=[(3, 1, 1)]).cpm == 0  # 4.5 mm away, radius (12 + 4 + 4) / 6 mm
    assert froc(mark, truth, spacings=[(0.5, 1, 1)]).cpm == 1


def test_a_mark_hits_every_object_that_it_is_near_to() -> None:
    truth = [Truth(around(A, (12.0, 10, 10)))]
    assert froc([Marks(around((11.0, 10, 10)), np.ones(1))], truth).cpm == 1


def test_a_mark_near_an_object_and_an_excluded_finding_is_a_hit() -> None:
    truth = [Truth(around(A), excluded=around((11.0, 10, 10)))]
    assert froc([Marks(around((10.5, 10, 10)), np.ones(1))], truth).cpm == 1


def test_in_the_plane_by_the_same_code() -> None:
    found, truth, _ = at_random(0)
    flat = froc(
        [Marks(m.boxes[:, [0, 1, 3, 4]], m.scores) for m in found], [Truth(t.boxes[:, [0, 1, 3, 4]]) for t in truth]
    )
    assert 0 < flat.cpm < 1


def test_the_interval_holds_the_value_and_narrows() -> None:
    few, many = at_random(1), at_random(1, scans=120)
    widths = []
    for found, truth, spacings in (few, many):
        low, high = cpm_interval(found, truth, seed=0, spacings=spacings, resamples=300)
        assert low < froc(found, truth, spacings=spacings).cpm < high
        widths.append(high - low)
        assert (low, high) == cpm_interval(found, truth, seed=0, spacings=spacings, resamples=300)
    assert widths[1] < widths[0] / 2


def test_a_draw_is_what_its_scans_give() -> None:
    """Every resampled value is the CPM of repeated scans: with one scan there is one draw."""
    found, truth, spacings = at_random(3)
    k = next(i for i, t in enumerate(truth) if len(t.boxes))
    one = ([found[k]], [truth[k]])
    assert (
        cpm_interval(*one, seed=0, spacings=[spacings[k]], resamples=5) == (froc(*one, spacings=[spacings[k]]).cpm,) * 2
    )


def test_what_cannot_be_scored_is_refused() -> None:
    empty = Marks(NONE, np.zeros(0))
    with pytest.raises(LabelError, match="no object in any of 2 scans"):
        froc([empty] * 2, [Truth(NONE)] * 2)
    with pytest.raises(SettingError, match="lists of 1 and 3"):
        froc([empty], TRUTH)
    with pytest.raises(SettingError, match="with 2 spacings"):
        froc([empty] * 3, TRUTH, spacings=[(1, 1, 1)] * 2)
    with pytest.raises(SettingError, match="3 axes were compared with boxes of 2 axes"):
        froc([Marks(np.zeros((1, 4)), np.ones(1))], TRUTH[:1])
    with pytest.raises(SettingError, match="numbers from 0"):
        froc([empty] * 3, TRUTH, rates=(-1,))
    with pytest.raises(SettingError, match="between 0 and 1"):
        cpm_interval([empty] * 3, TRUTH, seed=0, level=1)
    with pytest.raises(LabelError, match="got shape"):
        Truth(np.zeros((2, 5)))
    with pytest.raises(LabelError, match="finite score each"):
        Marks(around(A), np.array([np.nan]))
    with pytest.raises(LabelError, match="finite numbers"):
        Marks(np.full((1, 4), np.inf), np.ones(1))
