"""What parts are made of: methods and refiners as values, what they leave, and the tables they stand in.

A part is a value in one file and one line of a table. Everything else asks the value and knows no name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import SettingError
from hyperseg.core.maps import Decisions, Fused, SegmentationMap
from hyperseg.core.runtime import Runtime
from hyperseg.core.scene import Scene
from hyperseg.core.sections import Section
from hyperseg.core.split import Split
from hyperseg.core.task import Task
from hyperseg.core.words import did_you_mean

Arrays = dict[str, NDArray[Any]]
Chain = tuple[str, ...]
Kind = Literal["scene", "images", "volumes"]


@dataclass(frozen=True)
class Entry:
    """A line of a table: where a part is, as "module:NAME", and one line of help."""

    where: str
    help: str


@dataclass(frozen=True)
class Parts(Mapping[str, Any]):
    """A table of parts called `what` in messages; each is imported when first asked for. The first is the default.

    Raises:
        SettingError: on asking for a name that is not there; the nearest one is told.
    """

    what: str
    entries: dict[str, Entry]

    def __getitem__(self, name: str) -> Any:
        if name not in self.entries:
            close = did_you_mean(name, self.entries)
            raise SettingError(f"unknown {self.what} {name!r}: choose from {', '.join(self.entries)}.{close}")
        module, _, attribute = self.entries[name].where.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def default(self) -> str:
        return next(iter(self.entries))


@dataclass(frozen=True)
class Saved:
    """What a part leaves on disk and is taken up from: JSON, and arrays by name."""

    record: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    def within(self, prefix: str) -> Arrays:
        """The arrays under `prefix.`, without it."""
        return unprefixed(prefix, self.arrays)


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays with `prefix.` before their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays under `prefix.`, without it; empty where there are none."""
    return {n.removeprefix(prefix + "."): a for n, a in arrays.items() if n.startswith(prefix + ".")}


class Model(Protocol):
    """What `Method.fit` makes and `Method.load` takes up again: the same object either way.

    Attributes:
        name: first link of the chain of its maps.
        n_classes: K.
        margin_px: how far beyond a pixel it looks.
        history: what happened in training, or None.
        preprocess: what it does to spectra first; says which bands it reads.
    """

    @property
    def name(self) -> str: ...
    @property
    def n_classes(self) -> int: ...
    @property
    def margin_px(self) -> int: ...
    @property
    def history(self) -> Any: ...
    @property
    def preprocess(self) -> Any: ...

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        """The map of a scene, or of a window of one with at least `margin_px` around what counts."""

    def features(self, scene: Scene, runtime: Runtime) -> Callable[[Any], Any] | None:
        """A window of the scene -> (F, h, w) features of its pixels; None where the method has none."""

    def saved(self) -> Saved: ...
    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        """What the report shows of it beside its training, or None."""


@runtime_checkable
class Decider(Protocol):
    """A model that tells classes without making the probabilities of all of them first, where that is faster."""

    def decided(self, scene: Scene, runtime: Runtime, *, entropy: bool) -> Decisions:
        """What `Model.map` of the scene comes to; entropy where it is asked for."""


@dataclass(frozen=True)
class OnCases:
    """What a method does with a folder of images or volumes, where a plan says on which grid, patch and batch.

    Attributes:
        settings: their class; made without arguments they are the defaults. What the plan decides is not among them.
        build: (configuration, number of classes, settings) -> the network; weights come from torch's generator.
        lesson: (network, plan, configuration, steps, settings) -> (phases, moving averages by name) of
            `engine.one_cycle.train`, where the network is called "net". A batch is (B, C, *patch) float32 and
            (B, *patch) classes, -1 where none is known.
        score: (networks, number of classes, inference of the plan, mirror, settings) -> what windows are blended of,
            see `recipes.segment.sliding.Score`; trainings are validated by it too.
        samples: (networks, (C, *S) image, patch, settings, *, n_classes, mirror, seed, device, done) -> iterator of
            (K, *S) probabilities, for methods that answer more than once; None where `score` is all there is.
        fused: (samples, settings) -> `Fused`; where there are samples.
        looks: settings -> how often a network looks at each window of an image for all answers.
        check: (plan, settings): raises before any training.
        beside: settings -> methods that are trained beside it, on the same folds for as many steps: (name, settings).
        changeable: field of the settings that a prediction may change, as the number of samples; "" for none.
    """

    settings: type
    build: Callable[[Any, int, Any], Any]
    lesson: Callable[[Any, Any, Any, int, Any], tuple[Any, Any]]
    score: Callable[[Any, int, Any, bool, Any], Callable[[Any], Any]]
    samples: Callable[..., Iterator[Any]] | None = None
    fused: Callable[[Iterator[Any], Any], Fused] | None = None
    looks: Callable[[Any], int] = lambda settings: 1
    check: Callable[[Any, Any], None] = lambda plan, settings: None
    beside: Callable[[Any], tuple[tuple[str, Any], ...]] = lambda settings: ()
    changeable: str = ""


@dataclass(frozen=True)
class Method:
    """A method as a value.

    Attributes:
        name: as in the table.
        settings: their class; made without arguments they are the defaults.
        check: raises for whatever would stop `fit` later, after minutes of training.
        takes: what it can be fitted on.
        step: what its own step is called, where that is not the method's name.
        title: what progress bars call it, where that is not the step's name.
        refiners: its default chain; None is the usual one.
        needs: a refiner without which no other may follow, or None.
        beside: settings -> the parts measured beside it, as (method, settings); e.g. a GAN's supervised twin.
        controls: refiners whose map is measured beside the method's own chain where that begins as by default, as
            (step, refiners): what the chain has to beat.
        has_features: whether its models have features that refiners can read.
        unlabelled: whether it also learns from pixels without labels, which `--pool` can narrow.
        trains_on: whether a refiner may train its network further.
        disagrees: whether its maps tell how far its answers disagree.
        on_cases: what it does with a folder of images or volumes, or None.
    """

    name: str
    settings: type
    fit: Callable[[Task, Any, Runtime], Model]
    load: Callable[[Saved], Model]
    check: Callable[[Task, Any], None] = lambda task, settings: None
    takes: frozenset[Kind] = frozenset({"scene"})
    step: str = ""
    title: str = ""
    refiners: Chain | None = None
    needs: str | None = None
    beside: Callable[[Any], tuple[tuple[Method, Any], ...]] = lambda settings: ()
    controls: Callable[[Chain], tuple[tuple[str, Chain], ...]] = lambda refiners: ()
    has_features: bool = True
    unlabelled: bool = False
    trains_on: bool = False
    disagrees: bool = False
    on_cases: OnCases | None = None

    @property
    def step_name(self) -> str:
        return self.step or self.name


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
    """

    name: str
    settings: type
    fit: Callable[[SegmentationMap, Task, Any, Context], Fitted]
    load: Callable[[Saved, Model], Fitted]
    check: Callable[[Task, Any, Method, Any, int], None] = lambda task, settings, method, chosen, place: None
    title: str = ""
    alone: str = ""
    calibrates: bool = False
