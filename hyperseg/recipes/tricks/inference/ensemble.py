"""Ensembles: networks of other seeds, of which the mean answer counts, or what most of them say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from hyperseg.core.parts import Beginning, Method, Model, OnCases, Saved, Trick
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.tricks.inference.seeds import member_runtime
from hyperseg.recipes.tricks.slots import with_score


@settings
class Ensemble:
    """How many."""

    members: int = option(3, "Networks, each of a seed of its own; they take so many times as long.", low=2, high=100)


def on_cases(on: OnCases, chosen: Ensemble, *, vote: bool) -> OnCases:
    """One network made of several, which differ in the weights that they begin with.

    Of several folds every network of every fold has one vote.

    Source: "EnsAvg" and "EnsVot" of arXiv 2209.10307, of five seeds.
    Differs: three networks unless more are asked for, as each costs a training; all see the same batches, where the
    paper's have batches of their own seeds too; equal numbers of votes are decided by mean probabilities.
    """

    def build(configuration: Any, n_classes: int, settings: Any) -> Any:
        from hyperseg.recipes.tricks.inference.members import Members

        return Members(on.build(configuration, n_classes, settings) for _ in range(chosen.members))

    def lesson(*given: Any) -> Any:
        from hyperseg.recipes.tricks.inference.members import lessons

        return lessons(on, *given)

    def begin(beginning: Beginning, settings: Any) -> None:
        from hyperseg.recipes.tricks.inference.members import begun

        begun(on, beginning, settings)

    def ready(net: Any, configuration: Any, settings: Any) -> None:
        if on.ready is not None:
            on.ready(net.members[0], configuration, settings)

    def change(ask: Any, networks: Any, mirror: bool) -> Any:
        from hyperseg.recipes.tricks.inference.members import answers

        return answers([ask([member], mirror) for net in networks for member in net.members], vote)

    def looks(settings: Any, axes: int, mirror: bool) -> int:
        return chosen.members * on.looks(settings, axes, mirror)

    return replace(with_score(on, change, looks), build=build, lesson=lesson, begin=begin, ready=ready)


def on_scene(method: Method, chosen: Ensemble, *, vote: bool) -> Method:
    """The method fitted with several seeds, the first of them the run's own; its maps tell how far members disagree.

    Members of a method that no seed changes are all alike: the map is that of one of them, and the report warns of it.
    What is measured beside the method is an ensemble too.

    Source, Differs: as `on_cases`; on scenes the members have batches of their own too.
    """

    def fit(task: Task, settings: Any, runtime: Runtime) -> Model:
        from hyperseg.recipes.tricks.inference.ensemble_scene import EnsembleModel

        n = chosen.members
        return EnsembleModel(tuple(method.fit(task, settings, member_runtime(runtime, i, n)) for i in range(n)), vote)

    def load(saved: Saved) -> Model:
        from hyperseg.recipes.tricks.inference.ensemble_scene import load_ensemble

        return load_ensemble(method.load, saved)

    return replace(method, fit=fit, load=load, has_features=False, trains_on=False, disagrees=True)


def _trick(name: str, *, vote: bool) -> Trick:
    cases: Callable[[OnCases, Any], OnCases] = partial(on_cases, vote=vote)
    scene: Callable[[Method, Any], Method] = partial(on_scene, vote=vote)
    return Trick(name, "inference", cases, scene, Ensemble, family="ensemble")


ENSEMBLE_AVERAGE = _trick("ensemble-average", vote=False)
ENSEMBLE_VOTE = _trick("ensemble-vote", vote=True)
