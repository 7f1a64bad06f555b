"""Cells of a scene: the method on a split, and the accuracy of its map on the test pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from hyperseg.core import Scene, SegmentationMap
from hyperseg.core.parts import Method, Model
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task as OnTask
from hyperseg.engine.device import choose_precision
from hyperseg.recipes.bench.scenes import AA, OA, task_of, tested
from hyperseg.recipes.bench.tricks.rows import PLAIN, Cell, Row, Task
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.run.settings import LARGEST_SEED, RunSettings
from hyperseg.recipes.run.steps import Made, make_map, refine
from hyperseg.recipes.tricks.choosing import tricked_method

BARE = "OA before refiners"
AGAIN = 1_000_003  # between the seeds of two trainings on one split, which go round


@dataclass(frozen=True)
class SceneSource:
    """All that cells of a scene are made of; the seed of the settings is that of the first split.

    Attributes:
        scene: with labels.
        settings: of the baseline, without tricks.
        device: where networks are.
    """

    scene: Scene
    settings: RunSettings
    device: str

    def open(self) -> SceneBench:
        return SceneBench(self)

    def task(self, fold: int) -> OnTask:
        """The scene with one of its splits."""
        return task_of(self.scene, self.settings, fold)

    def check(self, row: Row, task: OnTask) -> None:
        """Raise SettingError where a row's tricks do not fit the method or the scene."""
        settings = replace(self.settings, tricks=row.tricks)
        method = settings.chosen
        method.check(task, settings.method_settings)
        for place, (refiner, chosen) in enumerate(settings.chain):
            refiner.check(task, chosen, method, settings.method_settings, place)


@dataclass
class SceneBench:
    """Makes cells."""

    source: SceneSource

    @one_blas_thread()
    def make(self, task: Task) -> list[Cell]:
        """The maps of all rows of the task; the baseline is trained once for those that train nothing."""
        source, settings, cells = self.source, self.source.settings, []
        on = source.task(task.fold)
        seed = (settings.seed + task.fold + AGAIN * task.seed) % (LARGEST_SEED + 1)
        runtime = Runtime(seed, source.device, choose_precision(source.device), quiet=True)
        base: Method = METHODS[settings.method]
        made: Made | None = None
        for row in task.rows:
            if row != PLAIN and not row.trains:
                if made is None:
                    made = make_map(base, settings.method_settings, on, runtime)
                method = tricked_method(replace(base, fit=reusing(base, made.model, on, settings)), row.tricks)
                found = make_map(method, settings.method_settings, on, runtime)
                training_s = made.step.training_s
            else:
                method = tricked_method(base, row.tricks)
                found = make_map(method, settings.method_settings, on, runtime)
                training_s = found.step.training_s
                made = found if row == PLAIN else made
            began = time.monotonic()
            chain = replace(settings, tricks=row.tricks).chain  # tricks may be refiners too
            links = refine(found, method, settings.method_settings, chain, on, runtime)
            final = links[-1].step.map if links else found.step.map
            mapping_s = found.step.seconds - (found.step.training_s or 0.0) + time.monotonic() - began
            told = _scores(found.step.map, final, on)
            learnt, tested = int(on.split.train.sum()), int(on.split.test.sum())
            cells.append(
                Cell(row.key, task.fold, task.seed, told[OA], told, task.steps, learnt, tested, training_s or 0.0,
                     mapping_s)
            )  # fmt: skip
        return cells


def reusing(
    base: Method, model: Model, task: OnTask, settings: RunSettings
) -> Callable[[OnTask, Any, Runtime], Model]:  # fmt: skip
    """`fit` of the baseline that gives the model it has given already where nothing of the training differs.

    Settings that the model itself has under the same name are read by it when it maps; any other one trains anew, and
    so does another task, as refiners ask for.
    """
    usual = settings.method_settings

    def fit(other: OnTask, chosen: Any, runtime: Runtime) -> Model:
        if other is not task:
            return base.fit(other, chosen, runtime)
        changes = {f.name: getattr(chosen, f.name) for f in fields(usual)
                   if getattr(chosen, f.name) != getattr(usual, f.name)}  # fmt: skip
        own: Any = model
        known = {f.name for f in fields(own)} if is_dataclass(own) else set()
        if not all(name in known and getattr(own, name) == getattr(usual, name) for name in changes):
            return base.fit(other, chosen, runtime)
        return replace(own, **changes) if changes else model

    return fit


def _scores(bare: SegmentationMap, final: SegmentationMap, on: OnTask) -> dict[str, float | None]:
    """Percent of the test pixels."""
    after, before = tested(final, on), tested(bare, on)
    return {OA: float(after.oa), AA: float(after.aa), BARE: float(before.oa)}
