"""What a run is about to do, and how long it may take, for who waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from hyperseg.core.task import Task
from hyperseg.core.words import counted, duration, listed, thousands
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import fitted_parts
from hyperseg.recipes.tricks.words import with_tricks


def plan(tasks: Sequence[Task], settings: RunSettings, device: str) -> str:
    """Scene, split, what is fitted and how often."""
    scene, split, method = tasks[0].scene, tasks[0].split, settings.chosen
    size, classes = " x ".join(map(str, scene.shape)), counted(scene.n_classes, "class", "classes")
    known, train, val, test = (
        thousands(int(part.sum())) for part in (scene.labelled(), split.train, split.val, split.test)
    )
    chain = " + ".join([method.step_name, *(refiner.name for refiner, _ in settings.chain)])
    beside = [part.title or part.step_name for role, part, _ in fitted_parts(settings) if role == "twin"]
    beside = [*(" + ".join((name, *refiners)) for name, refiners in settings.beside), *beside]
    if settings.tricks:
        chain += f" {with_tricks(settings.tricks)}"
    first = " in the first repeat" if settings.repeats > 1 else ""
    return (
        f"{scene.name}: {size} pixels, {counted(scene.n_bands, 'band')}, {classes}. "
        f"Of {known} labelled pixels {train} train, {val} validate and {test} test{first}: {split.how}. "
        f"Plan: {chain}{f', beside it {listed(beside)}' if beside else ''}; {counted(settings.repeats, 'repeat')} on "
        f"{device}."
    )


def time_left(took: float, repeats: int) -> str:
    """What the first repeat took, and so the others may."""
    return f"repeat 1/{repeats} took {duration(took)}: about {duration(took * (repeats - 1))} to go"
