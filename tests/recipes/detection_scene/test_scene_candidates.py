"""Candidates and how they are counted, against loops and values by hand; and the parts of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import Scene, SceneError
from hyperseg.recipes.detection.scene.candidates import Candidates, compared, peaks, pooled, ranked
from hyperseg.recipes.detection.scene.parts import parts_of

RNG = np.random.default_rng(2)


def at(*places: tuple[float, float]) -> np.ndarray:
    return np.array([[r, c, r + 1, c + 1] for r, c in places], float)


def test_peaks_are_pixels_that_no_neighbour_exceeds() -> None:
    score = RNG.normal(0, 1, (17, 23))
    score[3, 3] = np.nan
    found = peaks(score)
    filled = np.where(np.isnan(score), -np.inf, score)
    padded = np.pad(filled, 1, constant_values=-np.inf)
    literal = [
        (r, c) for r in range(17) for c in range(23)
        if np.isfinite(filled[r, c]) and filled[r, c] == padded[r : r + 3, c : c + 3].max()
    ]  # fmt: skip
    kept: list[tuple[int, int]] = []
    for r, c in sorted(literal, key=lambda p: -filled[p]):
        if all(np.hypot(r - a, c - b) > 2 for a, b in kept):
            kept.append((r, c))
    assert [tuple(p) for p in found.boxes[:, :2].astype(int)] == kept
    assert (np.diff(found.scores) <= 0).all()
    assert len(peaks(score, most=3).scores) == 3
    assert not len(peaks(score, np.zeros(score.shape, bool)).scores)


def test_sensitivity_by_hand() -> None:
    targets = np.array([[10, 10, 12, 12], [30, 30, 31, 31], [50, 5, 51, 6]], float)
    found = ranked(at((10, 10), (40, 40), (31, 31), (60, 60), (20, 20)), [9, 8, 7, 6, 5])
    result = compared(found, targets, area_px=1e4)
    np.testing.assert_array_equal(result.at, [9, 7, -np.inf])
    np.testing.assert_array_equal(result.false, [8, 6, 5])
    assert [result.sensitivity(rate) for rate in (0.5, 1, 2, 50)] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3])
    both = pooled([result, compared(ranked(at((0, 0)), [8.5]), targets[:1], area_px=1e4)])
    assert both.area_px == 2e4
    np.testing.assert_array_equal(both.false, [8.5, 8, 6, 5])
    assert [both.sensitivity(rate) for rate in (0.5, 1)] == pytest.approx([1 / 4, 2 / 4])


def test_known_pixels_and_second_hits_are_no_false_alarms() -> None:
    known = np.zeros((70, 70), bool)
    known[40, 40] = True
    found = Candidates(at((10, 10), (10, 12), (41, 41), (42, 42)), np.array([4.0, 3, 2, 1]))
    result = compared(found, np.array([[9, 9, 12, 12]]), area_px=4900, excluded=known)
    np.testing.assert_array_equal(result.false, [1])


def test_all_found_first_is_one_and_nothing_found_is_nothing() -> None:
    targets = at((5, 5), (20, 20))
    assert compared(ranked(at((5, 5), (20, 20), (40, 40)), [3, 2, 1]), targets, area_px=1e4).mean == 1
    assert compared(ranked(np.zeros((0, 4)), []), targets, area_px=1e4).mean == 0


def test_parts_share_no_pixel_and_leave_none_out() -> None:
    for shape in ((145, 145), (51, 56), (100, 20), (33, 64)):
        parts = parts_of(Scene(np.zeros((*shape, 2)), name="made"))
        count = np.zeros((2, *shape), int)
        for part in range(2):
            for window in parts.windows(part):
                count[part][window] += 1
        assert (count.sum(0) == 1).all()
        assert (count.sum((1, 2)) > 0.3 * np.prod(shape)).all()
        middle = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 2).astype(np.float64) + 0.5
        np.testing.assert_array_equal(parts.of(middle).reshape(shape), count[1])


def test_small_scenes_are_refused() -> None:
    with pytest.raises(SceneError, match="learns on one half"):
        parts_of(Scene(np.zeros((20, 22, 2)), name="small"))
    nearly_empty = np.zeros((64, 64), bool)
    nearly_empty[:5] = True
    with pytest.raises(SceneError, match="320 pixels with data"):
        parts_of(Scene(np.zeros((64, 64, 2)), valid=nearly_empty, name="empty"))
