"""The minimum mapping unit of scenes: what it does to probabilities, on disk, in windows, and what it cannot do."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from running import Quick

from hyperseg.core import Grid, Scene, SegmentationMap, SettingError
from hyperseg.core.parts import Context, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners.sieve import SIEVE, FittedSieve, SieveSettings, pixel_m2
from hyperseg.recipes.run.load import LoadedRun
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import run_repeat
from hyperseg.regions.sieve import exchanged, sieved

QUIET = Runtime(quiet=True)


@dataclass(frozen=True)
class Reader:
    """A model that says what stands in the first bands of the cube."""

    n_classes: int = 3
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
        return Saved({})

    def section(self, *given: Any) -> None:
        return None


def mosaic(seed: int, shape: tuple[int, int] = (40, 37), *, specks: float = 0.04) -> Scene:
    """Fields of three classes with specks in them, as a cube that says so; a corner without data."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (8, 8)).repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]]
    labels = np.where(rng.random(shape) < specks, rng.integers(0, 3, shape), labels)
    cube = np.eye(3, dtype=np.float32)[labels] * 3 + rng.random((*shape, 3), np.float32)
    valid = np.ones(shape, bool)
    valid[:5, :4] = False
    return Scene(
        cube, labels=np.where(valid, labels, -1).astype(np.int16), classes=("a", "b", "c"), name="mosaic", valid=valid,
        grid=Grid(spacing=(10.0, 10.0), unit="m"),
    )  # fmt: skip


def task_of(scene: Scene) -> Task:
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:5", scene.labels, 3, seed=0, valid=scene.valid),))


def fitted(scene: Scene, **given: Any) -> FittedSieve:
    context = Context(Reader(), QUIET, lambda split, runtime: Reader().map(scene, runtime))
    found = SIEVE.fit(Reader().map(scene, QUIET), task_of(scene), SieveSettings(**given), context)
    assert isinstance(found, FittedSieve)
    return found


def test_probabilities_change_places_and_still_sum_to_one() -> None:
    scene = mosaic(0)
    before = Reader().map(scene, QUIET)
    kept = before.probs.copy()
    after = fitted(scene, pixels=6).apply(before, scene, QUIET)
    assert (after.labels() == sieved(before.labels(), 6)).all()
    changed = after.labels() != before.labels()
    assert 0 < changed.mean() < 0.1
    assert (after.probs[~changed] == before.probs[~changed]).all()
    assert (np.sort(after.probs, -1) == np.sort(before.probs, -1)).all()  # the same numbers elsewhere
    np.testing.assert_allclose(after.probs.sum(-1), 1, atol=1e-6)
    assert after.made_by == ("reader", "sieve")
    assert (before.probs == kept).all()


def test_twice_is_once() -> None:
    scene = mosaic(1)
    before = Reader().map(scene, QUIET)
    sieve = fitted(scene, pixels=8)
    once = sieve.apply(before, scene, QUIET)
    assert sieve.apply(once, scene, QUIET).probs.tobytes() == once.probs.tobytes()


def test_classes_that_are_as_probable_are_told_apart_by_the_smallest_step() -> None:
    probs = np.array([[[0.5, 0.5, 0]], [[0.25, 0.25, 0.5]]], np.float32)
    before = probs.argmax(-1).astype(np.int16)
    after = np.array([[1], [0]], np.int16)
    found = exchanged(probs, before, after)
    assert (found.argmax(-1) == after).all()
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert (found[1, 0] == [0.5, 0.25, 0.25]).all()


@pytest.mark.parametrize("given", [{"pixels": 4}, {"hectares": 0.04}])
@pytest.mark.parametrize("seed", range(3))
def test_windows_of_what_is_loaded_say_what_the_whole_scene_says(seed: int, given: dict[str, Any]) -> None:
    """Where every small piece touches a large one near by; through JSON, as a run keeps it."""
    scene = mosaic(seed, (60, 57), specks=0.02)
    made = fitted(scene, **given)
    again = SIEVE.load(Saved(json.loads(json.dumps(made.saved().record))), Reader())
    assert again == made
    assert again.reach_px == 4
    whole = made.apply(Reader().map(scene, QUIET), scene, QUIET)
    assert (whole.labels() != Reader().map(scene, QUIET).labels()).any()
    run = LoadedRun(Reader(), (again,), scene.classes, scene.colours, (), scene.name)
    mapper = make_mapper(run, refine=True, probabilities=True, device="cpu")
    windows = plan_windows(scene, halo_px=mapper.halo_px, side=13, refined=True)
    assert len(windows) == 16
    assert scene.valid is not None
    for window in windows:
        found = mapper(scene, window, np.asarray(scene.cube[window.read_slices]))
        assert found.probs is not None
        there = scene.valid[window.core_slices]
        assert found.probs[there].tobytes() == whole.probs[window.core_slices][there].tobytes()


def test_hectares_are_measured_on_the_ground() -> None:
    scene = mosaic(3)
    assert (pixel_m2(scene) == 100).all()
    before = Reader().map(scene, QUIET)
    by_area, by_pixels = (fitted(scene, **g).apply(before, scene, QUIET) for g in ({"hectares": 0.06}, {"pixels": 6}))
    assert by_area.probs.tobytes() == by_pixels.probs.tobytes()


def test_what_cannot_be_is_one_line_before_training() -> None:
    scene, method = mosaic(4), METHODS["lda"]
    task, nowhere = task_of(scene), task_of(replace(scene, grid=Grid()))
    with pytest.raises(SettingError, match=r"needs the size of a pixel.*Give pixels=N"):
        SIEVE.check(nowhere, SieveSettings(hectares=1.0), method, None, 0)
    for given in ({"pixels": 1481}, {"hectares": 15.0}):
        with pytest.raises(SettingError, match="all of mosaic is 1480 pixels: give less"):
            SIEVE.check(task, SieveSettings(**given), method, None, 0)
    SIEVE.check(task, SieveSettings(pixels=1480), method, None, 0)


def test_its_section_counts_what_it_changed() -> None:
    scene = mosaic(5)
    task, sieve = task_of(scene), fitted(scene, pixels=6)
    before = Reader().map(scene, QUIET)
    after = sieve.apply(before, scene, QUIET)
    section = sieve.section(before, after, scene, task.split)
    changed = before.labels() != after.labels()
    assert section.numbers["changed_pixels"] == changed.sum()
    assert sum(row["changed"] for row in section.numbers["changes"]) == (changed & task.split.test).sum() > 0
    assert "6 pixels" in section.sentences[0]
    assert len(section.tables) == 1
    nothing = sieve.section(after, after, scene, task.split)
    assert not nothing.tables
    assert "no test pixel" in nothing.sentences[-1]


CHAINS: list[tuple[dict[str, Any], list[str]]] = [
    ({"refine": ("trees",)}, ["trees", "sieve"]),
    ({"refine": ()}, ["sieve"]),
    ({}, ["trees", "temperature", "sieve"]),
]


@pytest.mark.parametrize(("given", "chain"), CHAINS)
def test_as_a_trick_it_ends_the_chain(given: dict[str, Any], chain: list[str]) -> None:
    made = RunSettings(method="lda", tricks=("small-areas:pixels=20",), **given)
    again = RunSettings.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    for found in (made, again):
        assert [refiner.name for refiner, _ in found.chain] == chain
        assert found.chain[-1] == (SIEVE, SieveSettings(20)) == found.refiner("sieve")
    assert [r.name for r, _ in replace(made, tricks=()).chain] == chain[:-1]


def test_the_trick_and_the_refiner_together_are_one_or_an_error() -> None:
    same = RunSettings(
        method="lda", refine=("trees", "sieve"), tricks=("small-areas:pixels=20",),
        refiner_settings={"sieve": SieveSettings(20)},
    )  # fmt: skip
    assert [r.name for r, _ in same.chain] == ["trees", "sieve"]
    for refine, pixels in ((("trees", "sieve"), 10), (("sieve", "trees"), 20)):
        with pytest.raises(SettingError, match=r"--trick small-areas:pixels=20 is the refiner sieve .* give one"):
            replace(same, refine=refine, refiner_settings={"sieve": SieveSettings(pixels)})


def test_the_trick_is_a_step_of_its_own_after_the_refiners(toy: Scene, quick: Quick) -> None:
    assert toy.labels is not None
    split = make_split("random_per_class:8", toy.labels, toy.n_classes, seed=0, valid=toy.valid)
    settings = quick(
        method="lda", refine=("trees",), tricks=("small-areas:pixels=20",), baselines=("lda + trees + sieve", "lda"),
    )  # fmt: skip
    assert settings.beside == ()  # both are steps of the run itself
    made = run_repeat(Task((toy,), (split,)), settings, QUIET)
    assert [step.name for step in made.steps] == ["lda", "lda + trees", "lda + trees + sieve"]
    before, after = (step.map.labels() for step in made.steps[-2:])
    assert (after == sieved(before, 20)).all()
    assert made.final.window_px == made.steps[0].window_px
