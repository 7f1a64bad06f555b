"""`OnCases`: what a method does with a folder of images or volumes, slot by slot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.maps import Fused
from hyperseg.core.runtime import Runtime

Change = Callable[[Any, Any], tuple[Any, Any]]
"""(B, C, *patch) images, (B, *patch) classes -> both, changed; on their device, randomness from torch's generator."""


@dataclass(frozen=True)
class Beginning:
    """What there is before the first step of a training on cases.

    Attributes:
        net: the network, with its first weights; it may be changed in place.
        plan, configuration: what it is trained by.
        steps: of the training that follows.
        batch: number, from 0 -> (images, classes) as `OnCases.lesson` gets them, of training cases of the fold only;
            other patches than those of the training that follows.
        runtime: seed, device, progress, and where unfinished work is kept.
        goes_on: the training was interrupted: `net` gets all its weights from the state that it left, afterwards.
    """

    net: Any
    plan: Any
    configuration: Any
    steps: int
    batch: Callable[[int], tuple[Any, Any]]
    runtime: Runtime
    goes_on: bool = False


@dataclass(frozen=True)
class OnCases:
    """What a method does with a folder of images or volumes, where a plan says on which grid, patch and batch.

    Attributes:
        settings: their class; made without arguments they are the defaults. What the plan decides is not among them.
        build: (configuration, number of classes, settings) -> the network; weights come from torch's generator.
        lesson: (network, plan, configuration, steps, settings, loss) -> (phases, moving averages by name) of
            `engine.one_cycle.train`, where the network is called "net". A batch is (B, C, *patch) float32 and
            (B, *patch) classes, -1 where none is known. The loss is what `loss` gives, or None.
        score: (networks, number of classes, inference of the plan, mirror, settings) -> what windows are blended of,
            see `recipes.segment.sliding.Score`: probabilities where `average` of the inference says so, else logits;
            trainings are validated by it too.
        samples: (networks, (C, *S) image, patch, settings, *, n_classes, mirror, seed, device, done) -> iterator of
            (K, *S) probabilities, for methods that answer more than once; None where `score` is all there is.
        fused: (samples, settings) -> `Fused`; where there are samples.
        looks: (settings, axes of a window, mirror) -> how often a network looks at each window of an image, for all
            answers and mirror images together.
        check: (plan, settings): raises before any training.
        beside: settings -> methods that are trained beside it, on the same folds for as many steps: (name, settings).
        changeable: field of the settings that a prediction may change, as the number of samples; "" for none.
        plan: (plan, settings) -> the plan that a new run is trained by.
        loss: settings -> `losses.loss.Loss` of class scores that `lesson` minimises; None where it minimises another.
        ready: (network, configuration, settings): raises before cases are prepared for a network that is trained from
            its first step; the network has shapes, but no weights ("meta" tensors). None where there is nothing to
            look at.
        begin: (`Beginning`, settings): done to the network before the first step of a fold, and again where an
            interrupted training goes on.
        change: (`Beginning`, settings) -> what is done to every batch of the training, or None; called after `begin`,
            as often. Members of an ensemble begin one by one, and have one change together: it knows no network.
        finish: ((*S) int16 classes of a whole case, settings) -> classes; after everything else.
        own_levels: which levels of the network count, and how much, is the network's own choice, not the plan's.
        own_terms: labels are read beside `loss` too, by terms of the network's own or by its critic.
    """

    settings: type
    build: Callable[[Any, int, Any], Any]
    lesson: Callable[[Any, Any, Any, int, Any, Any], tuple[Any, Any]]
    score: Callable[[Any, int, Any, bool, Any], Callable[[Any], Any]]
    samples: Callable[..., Iterator[Any]] | None = None
    fused: Callable[[Iterator[Any], Any], Fused] | None = None
    looks: Callable[[Any, int, bool], int] = lambda settings, axes, mirror: 2**axes if mirror else 1
    check: Callable[[Any, Any], None] = lambda plan, settings: None
    beside: Callable[[Any], tuple[tuple[str, Any], ...]] = lambda settings: ()
    changeable: str = ""
    plan: Callable[[Any, Any], Any] = lambda plan, settings: plan
    loss: Callable[[Any], Any] | None = None
    ready: Callable[[Any, Any, Any], None] | None = None
    begin: Callable[[Beginning, Any], None] = lambda beginning, settings: None
    change: Callable[[Beginning, Any], Change | None] = lambda beginning, settings: None
    finish: Callable[[NDArray[np.int16], Any], NDArray[np.int16]] = lambda classes, settings: classes
    own_levels: bool = False
    own_terms: bool = False
