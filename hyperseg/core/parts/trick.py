"""`Trick`: a function of the type of the slot it improves, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hyperseg.core.parts.method import Method
from hyperseg.core.parts.on_cases import OnCases
from hyperseg.core.parts.refiner import Refiner

Phase = Literal["pre-training", "pre-processing", "augmentation", "model", "inference", "post-processing"]


@dataclass(frozen=True)
class NoSettings:
    """Of parts that have none."""


@dataclass(frozen=True)
class Trick:
    """A trick as a value: a function of the type of what it improves.

    Attributes:
        name: as in the table.
        phase: where in the work on a network it belongs.
        on_cases: (what a method does with cases, settings of the trick) -> the same, improved; None where it makes no
            sense on images and volumes. Raises SettingError for a method that has no place for it.
        on_scene: (method, settings of the trick) -> method; None where it makes no sense on a scene, or is a refiner.
        settings: their class; a user spells them after the name, "oversampling:share=0.5".
        of_cases: names of those that do not count on a scene, where they are refused.
        family: of tricks that do the same thing in different ways one alone can be chosen; "" for none.
        trains: False where prediction alone is changed: networks that were trained without it serve.
        refiner: settings of the trick -> (refiner, its settings) that the chain of a scene ends with; None for none.
    """

    name: str
    phase: Phase
    on_cases: Callable[[OnCases, Any], OnCases] | None = None
    on_scene: Callable[[Method, Any], Method] | None = None
    settings: type = NoSettings
    of_cases: tuple[str, ...] = ()
    family: str = ""
    trains: bool = True
    refiner: Callable[[Any], tuple[Refiner, Any]] | None = None
