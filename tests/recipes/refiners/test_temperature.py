"""The temperature: what it is fitted to, and what it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import HypersegError, Scene, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Context, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.data.splits.components import parcel_numbers
from hyperseg.data.splits.drawing import near
from hyperseg.recipes.refiners.held_out import WHOLE_PX, HeldOut, held_out
from hyperseg.recipes.refiners.temperature import TEMPERATURE, TemperatureSettings

K, SIDE = 3, 9  # classes, side of a field


def fields(*, per_class: int = 8) -> Scene:
    """Square fields of three classes in rows, 5 px apart."""
    step = SIDE + 5
    labels = np.full((K * step, per_class * step), -1, np.int16)
    for k in range(K):
        for j in range(per_class):
            labels[k * step : k * step + SIDE, j * step : j * step + SIDE] = (k + j) % K
    cube = np.random.default_rng(0).normal(size=(*labels.shape, 4)).astype(np.float32)
    names = tuple("abc")
    return Scene(cube, labels=labels, classes=names, colours=((1, 1, 1), (2, 2, 2), (3, 3, 3)), name="fields")


@dataclass(frozen=True)
class Looker:
    """A model of which only this is asked."""

    margin_px: int = 0


@dataclass(frozen=True)
class Asked:
    """What a refiner asked for: splits to fit on."""

    splits: list[Split]
    context: Context


def asked(scene: Scene, *, fails: bool = False) -> Asked:
    """Maps made again say the number of the call with class 0."""
    splits: list[Split] = []

    def again(split: Split, runtime: Runtime) -> SegmentationMap:
        if fails:
            raise SettingError("too little is left.")
        splits.append(split)
        return sure_of(scene, 0.5 + 0.1 * len(splits))

    model: Any = Looker()
    return Asked(splits, Context(model, Runtime(quiet=True), again))


def sure_of(scene: Scene, first: float) -> SegmentationMap:
    probs = np.full((*scene.shape, K), (1 - first) / (K - 1), np.float32)
    probs[..., 0] = first
    return SegmentationMap(probs, scene.classes, scene.colours, made_by=("made",))


def task_of(scene: Scene, spelling: str, seed: int = 0) -> Task:
    assert scene.labels is not None
    return Task((scene,), (make_split(spelling, scene.labels, scene.n_classes, seed=seed),))


def places(found: HeldOut, scene: Scene, masks: list[np.ndarray]) -> None:
    """The pixels of a HeldOut are those of the masks, in their order."""
    assert scene.labels is not None
    np.testing.assert_array_equal(found.truth, np.concatenate([scene.labels[m] for m in masks]))


@pytest.mark.parametrize("seed", range(3))
def test_held_out_fields_are_new_to_what_maps_them(seed: int) -> None:
    """Validation fields by the map itself; training fields by one that trained on these instead."""
    scene = fields()
    task = task_of(scene, "parcels:fraction=0.5,guard=2", seed)
    split, number = task.split, parcel_numbers(scene.labels)
    given = asked(scene)
    found = held_out(sure_of(scene, 0.5), task, given.context)
    assert (found.by, found.trainings, len(given.splits)) == ("whole", 1, 1)
    first, second = [found.probs[:, 0] == np.float32(v) for v in (0.5, 0.6)]
    assert first.any()
    assert second.any()
    assert (first | second).all()
    other = given.splits[0]
    known = parcel_numbers(np.where(split.test, np.int16(-1), scene.labels))  # as numbered without the test
    parts = [split.val & np.isin(known, found.unit[first]), split.train & ~other.train]
    trained_on = [split.train, other.train]
    for mask, train in zip(parts, trained_on, strict=True):
        assert not np.isin(number[mask], number[train]).any()
        assert not (near(train, split.guard_px) & mask).any()
        assert not (mask & split.test).any()
    places(found, scene, parts)
    assert not (other.train & split.test).any()
    np.testing.assert_array_equal(other.test, split.test)
    np.testing.assert_array_equal(other.train | other.val, split.train | split.val)
    for k in np.unique(scene.labels[split.train]):
        assert (other.train & (scene.labels == k)).any()


def test_a_field_is_one_observation() -> None:
    scene = fields()
    found = held_out(sure_of(scene, 0.5), task_of(scene, "parcels:fraction=0.5,guard=2"), asked(scene).context)
    weights = found.weights()
    units, sizes = np.unique(found.unit, return_counts=True)
    for unit, size in zip(units, sizes, strict=True):
        assert weights[found.unit == unit].sum() == pytest.approx(min(1, size / WHOLE_PX))
    assert sizes.min() < WHOLE_PX < sizes.max()


def test_without_validation_each_half_of_the_fields_is_held_out() -> None:
    scene = fields()
    task = task_of(scene, "parcels:fraction=0.5,guard=2,val_cap=0")
    given = asked(scene)
    found = held_out(sure_of(scene, 0.5), task, given.context)
    assert (found.by, found.trainings) == ("whole", 2)
    parts = [task.split.train & ~other.train for other in given.splits]
    np.testing.assert_array_equal(parts[0] ^ parts[1], task.split.train)
    number = parcel_numbers(scene.labels)
    assert not np.isin(number[parts[0]], number[parts[1]]).any()
    places(found, scene, parts)


def test_where_every_class_has_one_field_strips_beyond_the_guard_are_held_out() -> None:
    scene = fields(per_class=1)
    task = task_of(scene, "parcels:guard=1,cap=none,val_cap=0")
    given = asked(scene)
    found = held_out(sure_of(scene, 0.5), task, given.context)
    assert (found.by, found.trainings) == ("strips", 2)
    parts = [task.split.train & ~other.train & ~near(other.train, 1) for other in given.splits]
    assert all(part.any() for part in parts)
    places(found, scene, parts)


@pytest.mark.parametrize(("spelling", "trainings"), [("random_per_class:20", 0), ("random_per_class:20,val=0", 2)])
def test_among_training_pixels_single_ones_are_held_out(spelling: str, trainings: int) -> None:
    scene = fields()
    task = task_of(scene, spelling)
    model: Any = Looker(margin_px=4)
    found = held_out(sure_of(scene, 0.5), task, replace(asked(scene).context, model=model))
    assert (found.by, found.trainings) == ("single", trainings)
    wanted = task.split.train if trainings else task.split.val
    assert len(found.truth) == found.units == wanted.sum()


def test_only_validation_pixels_where_that_is_asked_for() -> None:
    scene = fields()
    given = asked(scene)
    for spelling, some in (("parcels:fraction=0.5,guard=2", True), ("parcels:fraction=0.5,guard=2,val_cap=0", False)):
        found = held_out(sure_of(scene, 0.5), task_of(scene, spelling), given.context, retrain=False)
        assert bool(len(found.truth)) == some
    assert given.splits == []


def test_test_labels_are_never_read() -> None:
    """Other classes on every test pixel: the same pixels are held out, the same temperature is found."""
    scene = fields()
    task = task_of(scene, "parcels:fraction=0.5,guard=2")
    wrong = np.where(task.split.test, (scene.labels + 1) % K, scene.labels).astype(np.int16)
    other = Task((scene.with_(labels=wrong),), task.splits)
    found = [held_out(sure_of(scene, 0.5), t, asked(scene).context) for t in (task, other)]
    for name in ("probs", "truth", "unit"):
        np.testing.assert_array_equal(*(getattr(f, name) for f in found))
    fitted = [
        TEMPERATURE.fit(sure_of(scene, 0.9), t, TemperatureSettings(), asked(scene).context) for t in (task, other)
    ]
    assert fitted[0].temperature == fitted[1].temperature > 1


def test_what_cannot_be_fitted_leaves_maps_alone_and_says_so() -> None:
    """The method cannot be trained on less, and there is no validation pixel."""
    scene = fields()
    task = task_of(scene, "parcels:fraction=0.5,guard=2,val_cap=0")
    map = sure_of(scene, 0.9)
    fitted = TEMPERATURE.fit(map, task, TemperatureSettings(), asked(scene, fails=True).context)
    assert fitted.changes_nothing
    assert fitted.apply(map, scene, Runtime()) is map
    assert TEMPERATURE.load(Saved(fitted.saved().record), Looker()).changes_nothing  # type: ignore[arg-type]
    section = fitted.section(map, map, scene, task.split)
    assert section.sentences[0].startswith("No labelled pixel was held out from training to fit a temperature to")
    assert section.numbers["ece"]["before"] == section.numbers["ece"]["after"]
    with pytest.raises(HypersegError):
        asked(scene, fails=True).context.again(task.split, Runtime())


def test_the_section_tells_what_was_done(tmp_path: Path) -> None:
    scene = fields()
    task = task_of(scene, "parcels:fraction=0.5,guard=2")
    map = sure_of(scene, 0.98)
    fitted = TEMPERATURE.fit(map, task, TemperatureSettings(retrain="always"), asked(scene).context)
    after = fitted.apply(map, scene, Runtime())
    np.testing.assert_array_equal(after.labels(), map.labels())
    assert after.made_by == ("made", "temperature")
    section = fitted.section(map, after, scene, task.split)
    assert section.numbers["ece"]["after"] < section.numbers["ece"]["before"]
    assert [sum(r["pixels"] for r in section.numbers["reliability"][w]) for w in ("before", "after")] == [
        int(task.split.test.sum())
    ] * 2
    assert section.figures[0].png.startswith(b"\x89PNG")
    said = " ".join(section.sentences)
    for text in ("The map was too sure of itself", f"{fitted.numbers['units']} parcels", "once more", "ECE"):
        assert text in said
