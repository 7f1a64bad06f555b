"""A method of scenes whose maps are changed by a function before anyone sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Method, Model, Reaching, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.task import Task

ChangeMap = Callable[[SegmentationMap, Scene], SegmentationMap]
"""The map of a scene or of a window of one -> another of the same grid."""
REACH, INNER = "reach_px", "inner"


@dataclass(frozen=True)
class Followed:
    """A model whose maps are changed; the rest of it is the model's own.

    Attributes:
        model: what makes the maps.
        change: what is made of them.
        own_px: how far beyond a pixel `change` looks.
    """

    model: Model
    change: ChangeMap
    own_px: int

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def n_classes(self) -> int:
        return self.model.n_classes

    @property
    def margin_px(self) -> int:
        return self.model.margin_px

    @property
    def reach_px(self) -> int:
        return self.own_px + (self.model.reach_px if isinstance(self.model, Reaching) else 0)

    @property
    def history(self) -> Any:
        return self.model.history

    @property
    def preprocess(self) -> Any:
        return self.model.preprocess

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        return self.change(self.model.map(scene, runtime), scene)

    def features(self, scene: Scene, runtime: Runtime) -> Callable[[Any], Any] | None:
        return self.model.features(scene, runtime)

    def saved(self) -> Saved:
        inner = self.model.saved()
        return Saved({REACH: self.own_px, INNER: inner.record}, inner.arrays)

    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        return self.model.section(scene, split, runtime)


def with_maps(method: Method, change: ChangeMap, reach_px: Callable[[Task], int]) -> Method:
    """A method whose maps are changed. Its network is not trained further by refiners: they would not see the change.

    Args:
        method: of scenes.
        change: of every map; what is fitted, and what is loaded, is changed by the same function.
        reach_px: of a task -> how far beyond a pixel `change` looks.
    """

    def fit(task: Task, settings: Any, runtime: Runtime) -> Model:
        return Followed(method.fit(task, settings, runtime), change, reach_px(task))

    def load(saved: Saved) -> Model:
        return Followed(method.load(Saved(saved.record[INNER], saved.arrays)), change, int(saved.record[REACH]))

    return replace(method, fit=fit, load=load, trains_on=False)
