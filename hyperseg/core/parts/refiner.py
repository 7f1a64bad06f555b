"""`Refiner`: a refiner as a value, and `Fitted`: what it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.maps import SegmentationMap
from hyperseg.core.parts.method import Method, Model
from hyperseg.core.parts.saved import Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.scene import Scene
from hyperseg.core.sections import Section
from hyperseg.core.split import Split
from hyperseg.core.task import Task


class Fitted(Protocol):
    """What `Refiner.fit` makes and `Refiner.load` takes up again: the same object either way.

    Attributes:
        name: as in the table.
        reach_px: how far apart two pixels of the map may lie and still have to do with each other.
        margin_px: how much further it looks in the scene itself.
        exact: False where pixels beyond the reach count a little.
        changes_nothing: it leaves every map as it is: nothing beat that on validation pixels.
    """

    @property
    def name(self) -> str: ...
    @property
    def reach_px(self) -> int: ...
    @property
    def margin_px(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    @property
    def changes_nothing(self) -> bool: ...

    def window_px(self, before: int) -> int:
        """Side of the square of pixels that a decision rests on, after one that rested on `before`."""

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        """The refined map; the same map where it changes nothing."""

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """(*S) share, 0 to 1, to which a pixel is decided together with a training pixel far beyond any window; or None
        where windows tell the leak."""

    def saved(self) -> Saved: ...
    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section: ...


@dataclass(frozen=True)
class Context:
    """What a refiner may know beside the map it refines.

    Attributes:
        model: what made the first map of the chain.
        again: (split, runtime) -> the map that method and earlier refiners make when fitted on another split.
    """

    model: Model
    runtime: Runtime
    again: Callable[[Split, Runtime], SegmentationMap]


@dataclass(frozen=True)
class Refiner:
    """A refiner as a value.

    Attributes:
        name: as in the table.
        settings: their class; made without arguments they are the defaults.
        fit: of the map to refine.
        check: raises before any training; it is told the method, its settings, and the refiner's place in the chain.
        title: what a sentence calls it.
        alone: why it may leave a map alone, where that is not because nothing beat it on validation pixels.
        calibrates: whether its maps are meant to be right as often as they say: fitted to pixels held out.
        keeps_calibration: whether a map that was calibrated before it still is: it changes few pixels.
    """

    name: str
    settings: type
    fit: Callable[[SegmentationMap, Task, Any, Context], Fitted]
    load: Callable[[Saved, Model], Fitted]
    check: Callable[[Task, Any, Method, Any, int], None] = lambda task, settings, method, chosen, place: None
    title: str = ""
    alone: str = ""
    calibrates: bool = False
    keeps_calibration: bool = False
