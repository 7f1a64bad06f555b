"""`Method`: a method as a value, and `Model`: what it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from hyperseg.core.maps import Decisions, SegmentationMap
from hyperseg.core.parts.on_cases import OnCases
from hyperseg.core.parts.on_instances import OnInstances
from hyperseg.core.parts.saved import Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.scene import Scene
from hyperseg.core.sections import Section
from hyperseg.core.split import Split
from hyperseg.core.task import Task

Chain = tuple[str, ...]
Begin = Callable[[Any, Any], str]
"""(network, preprocessing) before the first step -> a sentence for the report; the network is changed in place."""
Kind = Literal["scene", "images", "volumes"]


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
class Method:
    """A method as a value.

    Attributes:
        name: as in the table.
        settings: their class; made without arguments they are the defaults.
        check: raises for whatever would stop `fit` later, after minutes of training.
        takes: what it can be fitted on; nothing where it works on folders alone.
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
        begins: `Begin` -> the same method, which does that to its fresh network; `check` does it to one that is thrown
            away, and raises what it raises. None where it has no single network that could begin with something.
        on_cases: what it does with a folder of images or volumes, or None.
        on_instances: what it does with a folder of pictures whose labels number objects, or None.
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
    begins: Callable[[Begin], Method] | None = None
    on_cases: OnCases | None = None
    on_instances: OnInstances | None = None

    @property
    def step_name(self) -> str:
        return self.step or self.name
