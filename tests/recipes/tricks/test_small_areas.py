"""The minimum mapping unit of scenes: what it does to probabilities, on disk, in windows, and what it cannot do."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from hyperseg.core import Grid, Scene, SegmentationMap, SettingError
from hyperseg.core.parts import Method, OnCases, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.preprocess import Preprocess
from hyperseg.data.splits import make_split
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.load import LoadedRun
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.tricks.choosing import tricked_method
from hyperseg.recipes.tricks.postprocessing.small_areas import exchanged, pixel_m2
from hyperseg.regions.sieve import sieved

QUIET = Runtime(quiet=True)


@dataclass(frozen=True)
class Reader:
    """A model that says what stands in the first bands of the cube."""

    n_classes: int
    name: str = "reader"
    margin_px: int = 0
    history: Any = None
    preprocess: Any = None

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        values = np.asarray(scene.cube[..., : self.n_classes], np.float32)
        probs = values / values.sum(-1, keepdims=True)
        return SegmentationMap(probs, scene.classes, scene.colours, made_by=("reader",), valid=scene.valid)

    def features(self, scene: Scene, runtime: Runtime) -> None:
        return None

    def saved(self) -> Saved:
        return Saved({"n": self.n_classes})

    def section(self, *given: Any) -> None:
        return None


READER = Method(
    "reader", dict, lambda task, settings, runtime: Reader(task.n_classes), lambda saved: Reader(saved.record["n"])
)


def mosaic(seed: int, shape: tuple[int, int] = (40, 37), *, specks: float = 0.04) -> Scene:
    """Fields of three classes with specks in them, as a cube that says so."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (8, 8)).repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]]
    labels = np.where(rng.random(shape) < specks, rng.integers(0, 3, shape), labels)
    cube = np.eye(3, dtype=np.float32)[labels] * 3 + rng.random((*shape, 3), np.float32)
    return Scene(cube, labels=labels.astype(np.int16), classes=("a", "b", "c"), name="mosaic")


def task_of(scene: Scene) -> Task:
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:5", scene.labels, 3, seed=0),))


def test_probabilities_change_places_and_still_sum_to_one() -> None:
    scene = mosaic(0)
    before = Reader(3).map(scene, QUIET)
    model = tricked_method(READER, ("small-areas:pixels=6",)).fit(task_of(scene), None, QUIET)
    after = model.map(scene, QUIET)
    assert (after.labels() == sieved(before.labels(), 6)).all()
    changed = after.labels() != before.labels()
    assert 0 < changed.mean() < 0.1
    assert (after.probs[~changed] == before.probs[~changed]).all()
    assert (np.sort(after.probs, -1) == np.sort(before.probs, -1)).all()  # the same numbers elsewhere
    np.testing.assert_allclose(after.probs.sum(-1), 1, atol=1e-6)
    assert after.made_by == before.made_by
    assert (Reader(3).map(scene, QUIET).probs == before.probs).all()


def test_one_pixel_changes_nothing() -> None:
    scene = mosaic(1)
    model = tricked_method(READER, ("small-areas:pixels=1",)).fit(task_of(scene), None, QUIET)
    assert (model.map(scene, QUIET).probs == Reader(3).map(scene, QUIET).probs).all()


def test_classes_that_are_as_probable_are_told_apart_by_the_smallest_step() -> None:
    probs = np.array([[[0.5, 0.5, 0]], [[0.25, 0.25, 0.5]]], np.float32)
    before = probs.argmax(-1).astype(np.int16)
    after = np.array([[1], [0]], np.int16)
    found = exchanged(probs, before, after)
    assert (found.argmax(-1) == after).all()
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert (found[1, 0] == [0.5, 0.25, 0.25]).all()


def test_what_is_loaded_maps_as_what_was_fitted() -> None:
    scene, method = mosaic(2), tricked_method(READER, ("small-areas:pixels=5",))
    made = method.fit(task_of(scene), None, QUIET)
    kept = made.saved()
    again = method.load(Saved(json.loads(json.dumps(kept.record)), dict(kept.arrays)))
    assert again.map(scene, QUIET).probs.tobytes() == made.map(scene, QUIET).probs.tobytes()
    assert (again.reach_px, again.margin_px, again.name) == (10, 0, "reader")  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(4))
def test_windows_say_what_the_whole_scene_says(seed: int) -> None:
    """Where every small piece touches a large one; the same with a limit on the ground."""
    scene = mosaic(seed, (60, 57), specks=0.02)
    grid = Grid(spacing=(10.0, 10.0), unit="m")
    for trick in ("small-areas:pixels=4", "small-areas:hectares=0.04"):
        given = replace(scene, grid=grid)
        model = tricked_method(READER, (trick,)).fit(task_of(given), None, QUIET)
        whole = model.map(given, QUIET)
        run = LoadedRun(model, (), given.classes, given.colours, (), given.name)
        mapper = make_mapper(run, refine=False, probabilities=True, device="cpu")
        assert mapper.halo_px == 8
        windows = plan_windows(given, halo_px=mapper.halo_px, side=13)
        assert len(windows) > 20
        for window in windows:
            made = mapper(given, window, np.asarray(given.cube[window.read_slices]))
            assert made.probs is not None
            assert made.probs.tobytes() == np.ascontiguousarray(whole.probs[window.core_slices]).tobytes()


def test_hectares_are_measured_on_the_ground() -> None:
    scene = mosaic(3)
    known = replace(scene, grid=Grid(spacing=(10.0, 10.0), unit="m"))
    assert (pixel_m2(known) == 100).all()
    by_area, by_pixels = (
        tricked_method(READER, (trick,)).fit(task_of(known), None, QUIET).map(known, QUIET).probs
        for trick in ("small-areas:hectares=0.06", "small-areas:pixels=6")
    )
    assert by_area.tobytes() == by_pixels.tobytes()


def test_what_cannot_be_is_one_line_before_training() -> None:
    scene = mosaic(4)
    task = task_of(scene)
    with pytest.raises(SettingError, match=r"--trick small-areas, with the method reader: .*needs the size of a pixel"):
        tricked_method(READER, ("small-areas:hectares=1",)).check(task, None)
    with pytest.raises(SettingError, match="1480 pixels: give less"):
        tricked_method(READER, ("small-areas:pixels=1481",)).check(task, None)
    tricked_method(READER, ("small-areas:pixels=1480",)).check(task, None)
    with pytest.raises(SettingError, match="hectares are of scenes"):
        case_method(tricks=("small-areas:hectares=1",))
    with pytest.raises(SettingError, match=r"--trick largest-component, with the method cnn3d: .* not of scenes"):
        tricked_method(METHODS["cnn3d"], ("largest-component",))


def finish(*tricks: str) -> Any:
    on: OnCases = case_method(tricks=tricks).on
    return lambda labels: on.finish(labels, None)


def test_on_folders_pieces_become_background() -> None:
    labels = np.array([[1, 1, 0, 2, 0], [0, 2, 0, 2, 0], [2, 0, 0, 0, 1]], np.int16)
    assert (finish("small-areas:2")(labels) == [[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 0]]).all()
    assert (finish("small-areas:1")(labels) == labels).all()
    assert (finish("largest-component")(labels) == [[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 0]]).all()
    together = finish("largest-component:together=true")
    assert (together(labels) == [[1, 1, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0]]).all()
    for do in (finish("small-areas:2"), finish("largest-component"), together):
        assert (do(do(labels)) == do(labels)).all()
        assert (do(np.zeros((4, 4), np.int16)) == 0).all()


def test_a_network_with_it_is_not_trained_further_by_refiners() -> None:
    method = tricked_method(METHODS["cnn3d"], ("small-areas",))
    assert METHODS["cnn3d"].trains_on
    assert not method.trains_on


def test_a_trained_method_comes_back_with_it(toy: Scene) -> None:
    method = tricked_method(METHODS["lda"], ("small-areas:pixels=3",))
    assert toy.labels is not None
    task = Task((toy,), (make_split("random_per_class:8", toy.labels, toy.n_classes, seed=0),))
    made = method.fit(task, method.settings(), QUIET)
    again = method.load(Saved(json.loads(json.dumps(made.saved().record)), made.saved().arrays))
    assert isinstance(again.preprocess, Preprocess)
    assert again.map(toy, QUIET).probs.tobytes() == made.map(toy, QUIET).probs.tobytes()
