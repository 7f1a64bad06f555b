"""What the trees made of the map they were fitted to is what they make of any map like it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hyperseg.core import SegmentationMap
from hyperseg.core.parts import Context
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.refiners.trees import TREES, TreesSettings
from hyperseg.simulated.scenes import toy_scene


@pytest.mark.parametrize("val", [0.3, 0.0])
def test_the_map_is_the_same_whether_it_was_seen_in_fitting_or_not(val: float) -> None:
    scene, runtime, model = toy_scene(seed=2), Runtime(quiet=True), None
    task = Task((scene,), (make_split(f"random_fraction:0.2,val={val}", scene.labels, 3, seed=0),))
    probs = np.random.default_rng(0).dirichlet(np.ones(3), scene.shape).astype(np.float32)
    seen = SegmentationMap(probs, scene.classes, scene.colours, made_by=("made",))
    chosen: Any = TreesSettings(doubt=1e9)  # never left alone
    fitted = TREES.fit(seen, task, chosen, Context(model, runtime, lambda split, runtime: seen))  # type: ignore[arg-type]
    after = fitted.apply(seen, scene, runtime)
    np.testing.assert_array_equal(after.probs, fitted.apply(replace(seen), scene, runtime).probs)
    other = replace(seen, probs=probs[..., ::-1].copy())
    assert (fitted.apply(other, scene, runtime).probs != after.probs).any()
    assert after.made_by == ("made", "trees")
    fresh = TREES.load(fitted.saved(), model)  # type: ignore[arg-type]
    np.testing.assert_array_equal(fresh.apply(seen, scene, runtime).probs, after.probs)
