"""Searching a small scene: its parts are kept apart, and the same seed gives the same."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import Scene, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.recipes.detection.scene.candidates import Candidates, Found, painted
from hyperseg.recipes.detection.scene.drawing import wilson
from hyperseg.recipes.detection.scene.learn import crop_of, read_ground
from hyperseg.recipes.detection.scene.output import COLUMNS
from hyperseg.recipes.detection.scene.run import find_targets
from hyperseg.recipes.detection.scene.search import FILTERS, filtered
from hyperseg.recipes.detection.scene.settings import ROWS, Detectors, SceneTargetSettings, trained_rows
from hyperseg.recipes.detection.scene.spectrum import Target
from hyperseg.recipes.detection.scene.study import Studied, Trial, best_of, implanted, make_ready, searched, study
from hyperseg.recipes.detection.scene.summary import made_by
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
        given = ready()
        done = study(given, ["plain"], Runtime(seed=1, quiet=True))
        assert set(done.trials[0].found) == {*FILTERS, "detector"}
        assert done.mapped == "detector"
        scores = filtered(given.scene, given.background, given.local)
        found.append(searched(done, scores, Runtime(seed=1, quiet=True))[done.mapped])
    np.testing.assert_array_equal(found[0].boxes, found[1].boxes)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)


def test_auto_takes_what_finds_most_of_the_implanted_targets_and_the_simpler_one_of_equals() -> None:
    def told(at: list[float]) -> Found:  # three targets, one false alarm of score 0.5
        return Found(np.array(at), np.array([0.5]), 100.0)

    names: dict[Detectors, str] = {"ace": "mean"}
    given = ready()
    for best in (*FILTERS, "mean"):
        trial = Trial(given.scene, (), {name: told([0.9, 0.1, 0.1]) for name in (*FILTERS, "one network", "mean")})
        trial.found["one network"] = told([0.9, 0.9, 0.9])  # is no candidate: it makes no map
        trial.found[best] = told([0.9, 0.9, 0.1])
        done = Studied(given, [trial], {}, names, best, chosen=True)
        assert best_of(done, [*FILTERS, *names.values()]) == best
        assert f"made by {best}: of 5 methods" in made_by(done)
        assert "67 % on average" in made_by(done)
    trial.found["mean"] = told([0.9, 0.1, 0.1])
    assert best_of(done, [*FILTERS, "mean"]) == FILTERS[0]


def test_the_best_method_makes_the_list_unless_another_is_asked_for(tmp_path: Path) -> None:
    known = np.zeros((48, 40), bool)
    known[5:7, 5:7] = True
    scene, target = Scene(CUBE, name="made"), Target(TARGET, "a ramp", known)
    tiny = replace(TINY, steps=1, false_alarms=50.0)  # one step teaches nothing: a filter finds more
    auto = find_targets(scene, target, tiny, out=tmp_path / "auto", quiet=True, seed=3)
    assert auto.numbers["mapped_by"] == auto.numbers["best_filter"] in FILTERS
    with (tmp_path / "auto" / "targets.csv").open() as file:
        rows = list(csv.DictReader(file))
    column = {name: key for key, name in COLUMNS.items()}[auto.numbers["mapped_by"]]
    assert len(rows) == auto.numbers["listed"] > 0
    assert all(float(row["score"]) == pytest.approx(float(row[column]), abs=2e-5) for row in rows)
    assert {row["known"] for row in rows} <= {"yes", "no"}
    asked = find_targets(scene, target, tiny, out=tmp_path / "ace", rows=["ace"], quiet=True, seed=3, pictures=False)
    assert asked.numbers["mapped_by"] == ROWS["ace"]
    assert any("--detector auto" in caution for caution in asked.numbers["cautions"])
    page = (tmp_path / "auto" / "targets.html").read_text()
    assert "of 5 methods measured" in page
    assert "too good" in page


@pytest.mark.parametrize("asked", [[], ["ace", "ace"], ["nearest"]])
def test_detectors_are_named_once_each(asked: list[Any]) -> None:
    with pytest.raises(SettingError, match="each detector once, of auto, plain"):
        trained_rows(asked)


def test_auto_trains_one_detector_or_those_named_beside_it() -> None:
    assert trained_rows(["auto"]) == (("ace",), True)
    assert trained_rows(["plain", "auto", "focalmix"]) == (("plain", "focalmix"), True)
    assert trained_rows(["plain"]) == (("plain",), False)


def test_a_map_of_candidates_has_the_best_score_of_every_box() -> None:
    found = Candidates(np.array([[1.0, 1, 3, 3], [2, 2, 5, 4]]), np.array([0.9, 0.4]))
    valid = np.ones((5, 5), bool)
    valid[4, 2] = False
    made = painted(found, valid)
    assert made[2, 2] == np.float32(0.9)
    assert made[3, 3] == np.float32(0.4)
    assert made[0, 0] == 0
    assert np.isnan(made[4, 2])
    assert np.nansum(made > 0) == 4 + 6 - 1 - 1


def test_an_interval_of_a_share_solves_the_equation_that_defines_it() -> None:
    share, n = np.array([0.0, 0.3, 1.0]), np.array([10, 20, 5])
    for end in wilson(share, n):
        np.testing.assert_allclose((share - end) ** 2, 1.96**2 * end * (1 - end) / n, atol=1e-12)


def test_shares_are_given_from_small_to_large() -> None:
    with pytest.raises(SettingError, match="smaller one first"):
        SceneTargetSettings(fill_from=0.5, fill_to=0.2)
