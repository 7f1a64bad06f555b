"""Ensembles on scenes: maps of all members, kept and taken up again, seeds, and what goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import stopping

from hyperseg.core.parts import Method, Model
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.doubt import doubt_section
from hyperseg.recipes.tricks.choosing import tricked_method
from hyperseg.recipes.tricks.inference.ensemble_scene import EnsembleModel
from hyperseg.simulated.scenes import toy_scene

BOTH = ["ensemble-average", "ensemble-vote"]
QUIET = Runtime(quiet=True)


@cache
def toy() -> Task:
    scene = toy_scene()
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0),))


QUICK: dict[str, dict[str, Any]] = {
    "unet": {"steps": 4, "width": 4, "depth": 2, "batch": 2, "window": 9},
    "rf": {},
}  # fmt: skip


def fitted(name: str, trick: str, runtime: Runtime = QUIET) -> tuple[Method, Model]:
    method = METHODS[name] if not trick else tricked_method(METHODS[name], [trick])
    chosen = changed(method.settings(), QUICK[name])
    method.check(toy(), chosen)
    return method, method.fit(toy(), chosen, runtime)


@cache
def ensemble(name: str, trick: str) -> tuple[Method, Model]:
    return fitted(name, f"{trick}:members=2")


def probs_of(members: Sequence[Model]) -> list[np.ndarray]:
    return [member.map(toy().scene, QUIET).probs for member in members]


@pytest.mark.parametrize(("name", "trick"), [("unet", BOTH[0]), ("unet", BOTH[1]), ("rf", BOTH[0])])
def test_a_scene_is_mapped_by_all_members_again_after_they_were_kept(name: str, trick: str) -> None:
    method, model = ensemble(name, trick)
    assert isinstance(model, EnsembleModel)
    map = model.map(toy().scene, QUIET)
    first, second = probs_of(model.members)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(map.probs.sum(-1), 1, atol=1e-5)
    if trick == "ensemble-average":
        np.testing.assert_allclose(map.probs, (first + second) / 2, atol=1e-6)
    alike = first.argmax(-1) == second.argmax(-1)
    assert np.array_equal(map.probs.argmax(-1)[alike], first.argmax(-1)[alike])
    assert map.disagreement is not None
    assert map.disagreement.shape == map.shape
    assert 0 <= map.disagreement.min() < map.disagreement.max() <= 1
    again = method.load(model.saved()).map(toy().scene, QUIET)
    assert again.probs.tobytes() == map.probs.tobytes()
    assert again.disagreement is not None
    assert again.disagreement.tobytes() == map.disagreement.tobytes()
    assert again.made_by == map.made_by == (name,)


def test_the_first_member_is_the_model_of_the_run_without_the_trick() -> None:
    _, alone = fitted("unet", "")
    _, model = ensemble("unet", "ensemble-average")
    assert isinstance(model, EnsembleModel)
    assert np.array_equal(probs_of([alone])[0], probs_of(model.members)[0])
    assert model.history.terms == alone.history.terms
    section = model.section(toy().scene, toy().split, QUIET)
    assert section is not None
    assert "2 models of other seeds" in section.sentences[0]


def test_members_that_no_seed_changes_are_told() -> None:
    method = tricked_method(METHODS["lda"], ["ensemble-average"])
    same = method.fit(toy(), method.settings(), QUIET)
    _, apart = ensemble("rf", "ensemble-average")
    told = [doubt_section(one.map(toy().scene, QUIET), toy().scene, toy().split) for one in (same, apart)]
    warned = ["no random number changes them" in " ".join(section.cautions) for section in told]
    assert warned == [True, False]
    assert told[0].figures == ()


def test_the_same_seed_is_the_same_map_and_another_one_another() -> None:
    _, model = ensemble("unet", "ensemble-average")
    maps = [fitted("unet", "ensemble-average:members=2", replace(QUIET, seed=seed))[1] for seed in (0, 1)]
    mine, same, other = probs_of([model, *maps])
    assert mine.tobytes() == same.tobytes() != other.tobytes()


def test_the_order_of_members_does_not_matter() -> None:
    _, model = ensemble("unet", "ensemble-vote")
    assert isinstance(model, EnsembleModel)
    turned = replace(model, members=model.members[::-1])
    np.testing.assert_allclose(*probs_of([model, turned]), atol=1e-6)


def test_an_interrupted_ensemble_goes_on_where_it_stopped(tmp_path: Path) -> None:
    runtime = replace(QUIET, checkpoints=tmp_path / "train0")
    with pytest.raises(KeyboardInterrupt):
        fitted("unet", "ensemble-average:members=2", replace(runtime, on_step=stopping(2, "member 2 of 2")))
    steps: list[str] = []
    resumed = replace(runtime, on_step=lambda text, done: steps.append(text))
    _, model = fitted("unet", "ensemble-average:members=2", resumed)
    assert [text for text in steps if "member 1" in text] == []
    assert len(steps) == 2
    _, whole = ensemble("unet", "ensemble-average")
    mine, its = probs_of([model, whole])
    assert mine.tobytes() == its.tobytes()
    assert all(file.name.startswith("train0-") for file in tmp_path.iterdir())
