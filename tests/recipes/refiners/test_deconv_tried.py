"""The deconvolution as a refiner: when it is trained at all, how far, and what it says where it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Context
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.crf.tune import Candidate, Tuned, class_gain
from hyperseg.data.splits import make_split
from hyperseg.recipes.refiners import deconv as module
from hyperseg.recipes.refiners.deconv import DECONV, FEWEST_WRONG, DeconvSettings, Strength, hopeless
from hyperseg.recipes.training import deconv as training

TINY = DeconvSettings(width=2, stages=1, steps=2, batch=2, crop=8, group_length=8)


@dataclass(frozen=True)
class Looker:
    """A model of which only this is asked."""

    margin_px: int = 0


def map_with(scene: Scene, wrong: NDArray[np.bool_]) -> SegmentationMap:
    """The truth, but for some pixels that get the next class; no class without a label."""
    assert scene.labels is not None
    said = np.where(wrong, (scene.labels + 1) % scene.n_classes, np.maximum(scene.labels, 0))
    probs = np.eye(scene.n_classes, dtype=np.float32)[said] * 0.8 + 0.2 / scene.n_classes
    return SegmentationMap(probs, scene.classes, scene.colours, made_by=("made",))


def some(mask: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    found = np.zeros(mask.shape, bool)
    found[tuple(np.argwhere(mask)[:n].T)] = True
    return found


def task_of(scene: Scene, spelling: str = "random_per_class:10,val=20") -> Task:
    assert scene.labels is not None
    return Task((scene,), (make_split(spelling, scene.labels, scene.n_classes, seed=0),))


def asked(made: SegmentationMap) -> tuple[list[Split], Context]:
    splits: list[Split] = []

    def again(split: Split, runtime: Runtime) -> SegmentationMap:
        splits.append(split)
        return made

    model: Any = Looker()
    return splits, Context(model, Runtime(quiet=True), again)


def test_a_gain_in_one_class_alone_never_exceeds_its_error_and_in_two_it_can() -> None:
    """Over all corrections of some wrong pixels: the bound that `hopeless` rests on."""
    truth = np.repeat(np.arange(5), 6).astype(np.int16)
    generator = np.random.default_rng(0)
    for _ in range(50):
        before, k = np.ones(30, bool), int(generator.integers(5))
        before[truth == k] = generator.random(6) > 0.6
        fixed = ~before & (generator.random(30) < 0.7)
        gain, error = class_gain(before, before | fixed, truth)
        assert gain <= error + 1e-12
    before = np.ones(30, bool)
    before[[0, 6]] = False
    gain, error = class_gain(before, np.ones(30, bool), truth)
    assert gain > error + 1e-3


def test_too_few_wrong_validation_pixels_are_hopeless(toy: Scene) -> None:
    assert toy.labels is not None
    val = task_of(toy).split.val
    for n, said in ((0, True), (FEWEST_WRONG - 1, True), (FEWEST_WRONG, False)):
        first, second = (val & (toy.labels == k) for k in (0, 1))
        wrong = some(first, n // 2) | some(second, n - n // 2)
        assert wrong.sum() == n
        why = hopeless(map_with(toy, wrong), toy.labels, val)
        assert bool(why) == said
        if said:
            assert f"{val.sum()} validation pixels the map has {n} wrong" in why


def test_wrong_pixels_of_one_class_are_hopeless_and_those_elsewhere_do_not_count(toy: Scene) -> None:
    assert toy.labels is not None
    split = task_of(toy).split
    one = split.val & (toy.labels == 1)
    assert one.sum() > FEWEST_WRONG
    assert "of one class" in hopeless(map_with(toy, one), toy.labels, split.val)
    assert "of one class" not in hopeless(map_with(toy, one), toy.labels, one)  # then the error is over pixels
    two = one | split.val & (toy.labels == 0)
    assert hopeless(map_with(toy, two), toy.labels, split.val) == ""
    assert "0 wrong" in hopeless(map_with(toy, split.test), toy.labels, split.val)
    nowhere = replace(map_with(toy, two), valid=~two)
    assert "0 wrong" in hopeless(nowhere, toy.labels, split.val)


def test_what_is_hopeless_is_not_trained_and_can_be_taken_up_again(toy: Scene, monkeypatch: Any) -> None:
    task = task_of(toy)
    map = map_with(toy, np.zeros(toy.shape, bool))
    splits, context = asked(map)
    monkeypatch.setattr(training, "train_deconv", lambda *args, **kwargs: pytest.fail("it was trained"))
    fitted = DECONV.fit(map, task, TINY, context)
    assert splits == []
    assert fitted.changes_nothing
    assert fitted.apply(map, toy, context.runtime) is map
    taken = DECONV.load(fitted.saved(), context.model)
    assert taken.changes_nothing
    assert taken.saved().record == fitted.saved().record
    assert taken.apply(map, toy, context.runtime) is map
    section = fitted.section(map, map, toy, task.split)
    assert section.sentences[0].startswith("It was not tried, so it left the map as it is: of ")
    assert "the map has 0 wrong" in section.sentences[0]
    assert len(section.sentences) == 1
    assert not section.tables


@pytest.mark.parametrize(
    ("scores", "forced", "maps", "strength"),
    [
        ([(0.5, 0.5)], False, 1, None),  # level: refused after the first part
        ([(0.5, 0.4)], False, 1, None),
        ([(0.5, 0.6), (0.5, 0.7)], False, 3, 1.0),
        ([(0.5, 0.6), (0.5, 0.4)], False, 3, None),  # not confirmed by the others
        ([], True, 3, 1.0),
    ],
)
def test_other_parts_are_held_out_only_if_the_first_promises_something(
    toy: Scene, monkeypatch: Any, scores: list[tuple[float, float]], forced: bool, maps: int, strength: float | None
) -> None:
    task = task_of(toy)
    map = map_with(toy, task.split.val)
    splits, context = asked(map)
    answers = iter(scores)

    def chosen(trainer: Any, network: Any) -> Tuned[Strength]:
        alone, score = next(answers)
        rows = (Candidate(None, alone, -1.0, 0.0), Candidate(Strength(1.0), score, -1.0, 0.1))
        return Tuned(Strength(1.0) if score > alone else None, rows, 60)

    monkeypatch.setattr(module, "chosen", chosen)
    fitted = DECONV.fit(map, task, replace(TINY, parts=3, forced=forced), context)
    assert len(splits) == maps
    assert next(answers, None) is None
    assert fitted.strength == strength
    assert fitted.numbers["held_out_parts"] == maps
    said = " ".join(fitted.section(map, map, toy, task.split).sentences)
    assert ("the first of 3 parts" in said) == (maps == 1)
    assert ("It was trained on 3 maps" in said) == (maps == 3)
