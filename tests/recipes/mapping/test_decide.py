"""Classes without probabilities are those of the probabilities, and only what is asked for is worked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from hyperseg.core import UNLABELLED, Decisions, Scene, SceneError, SegmentationMap
from hyperseg.core.groups import ClassGroups, Fallback
from hyperseg.core.parts import Decider
from hyperseg.core.runtime import Runtime
from hyperseg.recipes.mapping.windows import Mapper, WindowMap, plan_windows
from hyperseg.recipes.run.load import LoadedRun

K = 5
HUE = ((1, 2, 3),) * K
NAMES = tuple("abcde")


@dataclass
class Plain:
    """Probabilities are the bands of a pixel over their sum."""

    asked: list[str] = field(default_factory=list)
    name: str = "bands"
    n_classes: int = K
    margin_px: int = 2
    history: Any = None
    preprocess: Any = None

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        self.asked.append("map")
        cube = np.asarray(scene.cube)
        return SegmentationMap(cube / cube.sum(-1, keepdims=True), scene.classes, scene.colours, made_by=(self.name,))

    def features(self, scene: Scene, runtime: Runtime) -> Callable[[Any], Any] | None:
        return None

    def saved(self) -> Any: ...
    def section(self, *given: Any) -> None: ...


@dataclass
class Deciding(Plain):
    def decided(self, scene: Scene, runtime: Runtime, *, entropy: bool) -> Decisions:
        self.asked.append(f"decided {entropy}")
        made = replace(super().map(scene, runtime), valid=scene.valid)
        self.asked.pop()
        confidence, share = made.confidence(), made.entropy() / np.float32(np.log(K))
        if scene.valid is not None:
            confidence[~scene.valid] = share[~scene.valid] = np.nan
        return Decisions(made.labels(), confidence, share if entropy else None)


@pytest.fixture
def scene() -> Scene:
    cube = np.random.default_rng(0).random((40, 30, K)).astype(np.float32)
    cube[10:20, 5:25] = np.nan
    return Scene(cube, name="made up")


def mapper(model: Plain, **options: Any) -> Mapper:
    run = LoadedRun(model, (), NAMES, HUE, (model.name,), "s")  # type: ignore[arg-type]
    return Mapper(run, 2, **{"refine": False, "probabilities": False, "runtime": Runtime(quiet=True)} | options)


def windows_of(made: Mapper, scene: Scene) -> list[WindowMap]:
    plan = plan_windows(scene, halo_px=2, side=16)
    return [made(scene, window, np.asarray(scene.cube)[window.read_slices]) for window in plan]


@pytest.mark.parametrize("entropy", [False, True])
def test_both_ways_say_the_same(scene: Scene, entropy: bool) -> None:
    ways = Plain(), Deciding()
    assert [isinstance(way, Decider) for way in ways] == [False, True]
    for one, other in zip(*(windows_of(mapper(way, entropy=entropy), scene) for way in ways), strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.confidence, other.confidence)
        assert one.labels.dtype == np.int16
        assert one.confidence.dtype == np.float32
        assert (one.entropy is None) == (other.entropy is None) == (not entropy)
        if one.entropy is not None and other.entropy is not None:
            np.testing.assert_array_equal(one.entropy, other.entropy)
        np.testing.assert_array_equal(one.labels == UNLABELLED, np.isnan(one.confidence))
    assert set(ways[0].asked) == {"map"}
    assert set(ways[1].asked) == {f"decided {entropy}"}


def test_where_more_is_wanted_the_probabilities_are_made(scene: Scene) -> None:
    fallback = Fallback(ClassGroups(("x", "y"), (0, 0, 1, 1, 1)), 0.5)
    for options in ({"probabilities": True}, {"fallback": fallback}, {"refine": True}):
        model = Deciding()
        made = windows_of(mapper(model, **options), scene)
        assert set(model.asked) == {"map"}
        assert all((part.probs is not None) == ("probabilities" in options) for part in made)
        assert all((part.groups is not None) == ("fallback" in options) for part in made)


@pytest.mark.parametrize("kind", [Plain, Deciding])
def test_no_number_is_told_with_its_place_in_the_scene(scene: Scene, kind: type[Plain]) -> None:
    np.asarray(scene.cube)[33, 21] = 0  # 0 / 0
    with np.errstate(invalid="ignore"), pytest.raises(SceneError, match=r"made up: bands .* row 33, column 21"):
        windows_of(mapper(kind()), scene)
