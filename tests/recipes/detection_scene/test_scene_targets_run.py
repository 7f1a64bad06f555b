"""Searching a small scene: its parts are kept apart, and the same seed gives the same."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import Scene, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.recipes.detection.scene.learn import crop_of, read_ground
from hyperseg.recipes.detection.scene.settings import SceneTargetSettings
from hyperseg.recipes.detection.scene.spectrum import Target
from hyperseg.recipes.detection.scene.study import implanted, make_ready, searched, study
from hyperseg.simulated.targets import boxes_of

RNG = np.random.default_rng(11)
CUBE = (RNG.normal(0, 1, (48, 40, 8)) @ RNG.normal(0, 1, (8, 8)) + 30).astype(np.float32)
TARGET = np.linspace(20, 60, 8)
TINY = SceneTargetSettings(repeats=1, steps=3, width=8, crops=2, implants=12, components=5)


def ready(known: np.ndarray | None = None):  # type: ignore[no-untyped-def]
    scene = Scene(CUBE, name="made")
    return make_ready(scene, Target(TARGET, "a ramp", known), TINY, seed=0)


def test_targets_lie_in_one_part_each_and_never_on_known_pixels() -> None:
    known = np.zeros((48, 40), bool)
    known[5:9, 5:9] = True
    given = ready(known)
    trial = implanted(given, seed=4)
    corners = boxes_of(trial.targets)
    first, last = given.parts.of(corners[:, :2]), given.parts.of(corners[:, 2:] - 1)
    np.testing.assert_array_equal(first, last)
    assert (first == 0).sum() == (first == 1).sum() > 0
    for r0, c0, r1, c1 in corners.astype(int):
        assert not known[r0:r1, c0:c1].any()
    changed = (trial.scene.cube[:, :] != CUBE).any(-1)
    assert changed.sum() > sum(i.fill.size for i in trial.targets)  # decoys are there too


def test_a_detector_is_taught_on_its_own_part_alone() -> None:
    given = ready()
    marked = np.zeros((48, 40), int)
    for part in range(2):
        for window in given.parts.windows(part):
            marked[window] = part
    numbered = given.scene.with_(cube=np.concatenate([CUBE, marked[..., None]], -1, dtype=np.float32))
    for part in range(2):
        for window in given.parts.windows(part):
            assert (numbered.cube[window][..., -1] == part).all()
        blocks = read_ground(given.scene, given.parts, part, given.background, None, seed=0)
        assert sum(b.free.size for b in blocks) == (marked == part).sum()


def test_a_window_without_targets_is_the_scene_and_boxes_hold_what_changed() -> None:
    given = ready()
    block = read_ground(given.scene, given.parts, 0, given.background, None, seed=0)[0]
    plain, boxes, implants = crop_of(block, given.background, TINY, (16, 16), np.random.default_rng(0), plain=True)
    assert boxes.shape == (0, 4)
    assert not implants
    made, boxes, implants = crop_of(block, given.background, TINY, (16, 16), np.random.default_rng(0))
    assert plain.shape == made.shape == (6, 16, 16)
    inside = np.zeros((16, 16), bool)
    for r0, c0, r1, c1 in boxes_of(implants).astype(int):
        inside[r0:r1, c0:c1] = True
    np.testing.assert_array_equal((made != plain).any(0), inside)
    assert len(boxes) == sum(i.decoy is None for i in implants)


def test_a_study_says_the_same_twice() -> None:
    found = []
    for _ in range(2):
        done = study(ready(), ["plain"], Runtime(seed=1, quiet=True))
        assert set(done.trials[0].found) >= {"ACE", "matched filter", "detector"}
        found.append(searched(done, Runtime(seed=1, quiet=True), ["plain"])[done.mapped])
    np.testing.assert_array_equal(found[0].boxes, found[1].boxes)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)


def test_shares_are_given_from_small_to_large() -> None:
    with pytest.raises(SettingError, match="smaller one first"):
        SceneTargetSettings(fill_from=0.5, fill_to=0.2)
