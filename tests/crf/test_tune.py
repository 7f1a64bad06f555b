"""Tuning on validation pixels, and the count of what a refiner changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made import map_of
from numpy.typing import NDArray

from hyperseg.core import LabelError, SceneError, SegmentationMap
from hyperseg.crf.dense import refine
from hyperseg.crf.settings import DenseCRF
from hyperseg.crf.tune import ClassChange, changes, choose, class_gain, default_candidates, tune
from hyperseg.filters.kernels import Kernels
from hyperseg.filters.lattice import Lattice

H, W = 30, 28


TRUTH = np.zeros((H, W), np.int16)
TRUTH[:, W // 2 :] = 1
TRUTH[H // 2 :, :10] = 2
NOISE = np.random.default_rng(31).normal(0, 8, (H, W, 3))
GUIDE = (np.array([40.0, 120.0, 220.0])[TRUTH][..., None] + NOISE).astype(np.float32)
HALF = np.random.default_rng(33).random((H, W)) < 0.5


def sure(labels: NDArray[np.int16], confidence: float = 0.8) -> SegmentationMap:
    return map_of(np.where(np.eye(3)[labels] > 0, confidence, (1 - confidence) / 2))


def speckled(share: float) -> SegmentationMap:
    rng = np.random.default_rng(32)
    return sure(np.where(rng.random(TRUTH.shape) < share, rng.integers(0, 3, TRUTH.shape), TRUTH))


def test_a_speckled_map_gets_better_on_pixels_never_looked_at() -> None:
    map_ = speckled(0.3)
    tuned = tune(map_, GUIDE, TRUTH, HALF)
    assert tuned.settings is not None
    assert tuned.n_pixels == HALF.sum()
    assert len(tuned.table) == len(default_candidates()) + 1
    after = refine(map_, GUIDE, tuned.settings)
    before, right = ((m.labels() == TRUTH)[~HALF].mean() for m in (map_, after))
    assert right > before + 0.1
    best = max(row.score for row in tuned.table)
    chosen = next(row for row in tuned.table if row.settings == tuned.settings)
    assert chosen.score == best
    assert chosen.log_likelihood == max(row.log_likelihood for row in tuned.table if row.score == best)


def test_a_perfect_map_is_left_alone() -> None:
    """Smoothing raises the likelihood here, but an equal accuracy is no reason to touch the map."""
    tuned = tune(sure(TRUTH, 0.6), GUIDE, TRUTH, HALF)
    assert tuned.settings is None
    assert tuned.table[0].settings is None
    assert tuned.table[0].score == 1.0
    assert any(row.score == 1.0 and row.log_likelihood > tuned.table[0].log_likelihood for row in tuned.table[1:])


def test_harm_is_refused() -> None:
    """A GUIDE that contradicts the TRUTH: every candidate loses, nothing is done."""
    lines = np.zeros_like(TRUTH)
    lines[:, ::2] = 1
    flat = np.zeros((H, W, 3), np.float32)
    strong = [DenseCRF(gaussian_weight=30, bilateral_weight=0), DenseCRF(bilateral_weight=30)]
    tuned = tune(sure(lines, 0.6), flat, lines, HALF, candidates=strong)
    assert tuned.settings is None
    assert all(row.score < 1 and row.changed > 0 for row in tuned.table[1:])


def test_each_kernel_is_built_once() -> None:
    shuffled = [default_candidates()[i] for i in np.random.default_rng(0).permutation(len(default_candidates()))]
    built: list[Lattice] = []

    def build(*given: Any, **options: Any) -> Lattice:
        built.append(Lattice(*given, **options))
        return built[-1]

    kernels = Kernels(GUIDE, build=build)
    table = tune(sure(TRUTH), GUIDE, TRUTH, HALF, candidates=shuffled, kernels=kernels).table
    assert len(built) == 1 + 6
    assert [row.settings for row in table] == [None, *shuffled]


def test_pixels_outside_the_mask_do_not_count() -> None:
    hidden, wrong = (np.where(HALF, TRUTH, np.int16(other)) for other in (-1, 0))
    candidates = default_candidates()[:4]
    tables = [tune(speckled(0.3), GUIDE, t, HALF, candidates=candidates).table for t in (TRUTH, hidden, wrong)]
    assert tables[0] == tables[1] == tables[2]


def test_no_validation_pixel_is_an_error() -> None:
    with pytest.raises(LabelError, match="needs validation pixels"):
        tune(sure(TRUTH), GUIDE, np.full_like(TRUTH, -1), HALF)
    with pytest.raises(SceneError, match=r"mask have shape \(29, 28\)"):
        tune(sure(TRUTH), GUIDE, TRUTH, HALF[1:])


def test_changes_are_counted_by_hand() -> None:
    truth = np.array([[0, 0, 0, 1, 1, 2, -1, 0]], np.int16)
    before = sure(np.array([[0, 1, 1, 1, 0, 0, 0, 0]], np.int16))
    after = sure(np.array([[1, 0, 2, 1, 0, 1, 1, 1]], np.int16))
    mask = np.array([[1, 1, 1, 1, 1, 1, 1, 0]], bool)
    assert changes(before, after, truth, mask) == (
        ClassChange("a", pixels=3, changed=3, fixed=1, broken=1),
        ClassChange("b", pixels=2, changed=0, fixed=0, broken=0),
        ClassChange("c", pixels=1, changed=1, fixed=0, broken=0),
    )
    no_data = replace(before, valid=np.array([[0, 1, 1, 1, 1, 1, 1, 1]], bool))
    assert changes(no_data, after, truth, mask)[0] == ClassChange("a", pixels=2, changed=2, fixed=1, broken=0)


def test_a_gain_that_rests_on_one_class_convinces_nobody() -> None:
    truth = np.repeat(np.arange(4, dtype=np.int16), 25)
    before, lucky = np.zeros(100, bool), np.zeros(100, bool)
    lucky[:10] = True  # class 0 alone rises by 0.4
    assert class_gain(before, lucky, truth) == (pytest.approx(0.1), pytest.approx(0.1))
    broad = np.tile(np.arange(25) < 3, 4)  # every class rises by 0.12
    assert class_gain(before, broad, truth) == (pytest.approx(0.12), pytest.approx(0.0, abs=1e-12))


def test_usual_settings_stand_unless_others_are_better_beyond_doubt() -> None:
    """Four maps, all of one class right: how many of the other two they get right decides."""
    rough = sure(np.where(TRUTH == 0, TRUTH, np.int16(0)))
    half, most, all_right = TRUTH.copy(), TRUTH.copy(), TRUTH.copy()
    half[(TRUTH == 1) & (np.arange(H) % 2 == 0)[:, None]] = 0
    half[TRUTH == 2] = 0
    most[(TRUTH == 2) & (np.arange(W) % 3 == 0)] = 0
    everywhere = np.ones((H, W), bool)
    maps = {"half": sure(half), "most": sure(most), "all": sure(all_right), "none": rough}

    def chosen(*names: str, usual: str | None) -> str | None:
        return choose(rough, [(n, maps[n]) for n in names], TRUTH, everywhere, usual=usual).settings

    assert chosen("half", "none", usual="half") == "half"
    assert chosen("half", "all", usual="half") == "all"  # two classes gain one half and one: 0.5 +- 0.29
    assert chosen("half", "most", usual="half") == "most"
    assert chosen("most", "all", usual="most") == "most", "one class of three gains 1/3: 0.11 +- 0.11"
    assert chosen("none", "half", usual="none") == "none", "one class of three gains 1/2: 0.17 +- 0.17"
    worse = sure(np.full_like(TRUTH, 2))
    spoiled = choose(maps["all"], [("worse", worse)], TRUTH, everywhere, usual="worse")
    assert spoiled.settings is None, "leaving the map alone is better beyond doubt"
    assert spoiled.table[0].gain > spoiled.table[0].gain_error
