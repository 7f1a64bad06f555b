"""Where the plan is asked, bands that are mostly noise are averaged first; by default they stay as they are."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.methods import METHODS
from hyperseg.simulated.scenes import toy_scene

METHOD, QUIET = METHODS[METHODS.default], Runtime(quiet=True)


def task_of(noise: float) -> Task:
    """The toy scene with 48 bands and this much more noise, as a share of their spread."""
    scene = toy_scene(n_bands=48)
    cube = np.asarray(scene.cube)
    cube = cube + noise * cube.std((0, 1)) * np.random.default_rng(0).normal(size=cube.shape)
    scene = scene.with_(cube=cube.astype(np.float32))
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0),))


@pytest.mark.parametrize(("noise", "averaged", "features"), [(0.0, 0, 48), (1.0, 0, 12), (1.0, 1, 48), (0.0, 4, 12)])
def test_bands_are_averaged_as_the_plan_or_the_user_says(noise: float, averaged: int, features: int) -> None:
    task = task_of(noise)
    settings = changed(METHOD.settings(), {"epochs": 1, "min_steps": 5, "averaged": averaged})
    model = METHOD.fit(task, settings, QUIET)
    found = model.preprocess.n_out
    assert (found == features) if features == 48 or averaged else found < 24
    section = model.section(task.scene, task.split, QUIET)
    assert (section is not None) == (found < 48)
    scene: Scene = task.scene
    assert METHOD.load(model.saved()).map(scene, QUIET).probs.tobytes() == model.map(scene, QUIET).probs.tobytes()


def test_averages_make_a_noisy_scene_easier() -> None:
    """Same network, same steps: more of the test pixels are right than when every band is read by itself."""
    task = task_of(2.0)
    assert task.scene.labels is not None
    truth = task.scene.labels[task.split.test]
    right = []
    for averaged in (0, 1):
        settings = changed(METHOD.settings(), {"epochs": 1, "min_steps": 40, "averaged": averaged, "window": 1})
        found = METHOD.fit(task, settings, QUIET).map(task.scene, QUIET).labels()[task.split.test]
        right.append((found == truth).mean())
    assert right[0] > right[1]
