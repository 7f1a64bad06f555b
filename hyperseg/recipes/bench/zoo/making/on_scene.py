"""Cells of a scene: a method on a split, and the accuracy of its map on the test pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperseg.core import Scene
from hyperseg.core.parts import Method
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task as OnTask
from hyperseg.engine.device import choose_precision
from hyperseg.engine.meter import quiet_clock
from hyperseg.recipes.bench.scenes import AA, KAPPA, OA, task_of, tested
from hyperseg.recipes.bench.zoo.choosing import LINEAR
from hyperseg.recipes.bench.zoo.making.counting import headroom, madds_of, parameters_of
from hyperseg.recipes.bench.zoo.making.methods import scene_method
from hyperseg.recipes.bench.zoo.pace import FEW, MORE, Pace, failed_pace
from hyperseg.recipes.bench.zoo.rows import Cell, Row, Task, failed
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.run.settings import LARGEST_SEED, RunSettings


@dataclass(frozen=True)
class SceneSource:
    """All that cells of a scene are made of.

    Attributes:
        scene: with labels.
        settings: split and seed; the seed is that of the first split.
        window: sides of the windows that networks with padding map in: of these multiply-adds are counted.
        device: where networks are.
    """

    scene: Scene
    settings: RunSettings
    window: tuple[int, ...]
    device: str

    def open(self) -> SceneBench:
        return SceneBench(self)

    def task(self, fold: int) -> OnTask:
        """The scene with one of its splits."""
        return task_of(self.scene, self.settings, fold)

    def check(self, row: Row, task: OnTask) -> None:
        """Raise SettingError or another HypersegError where a row's method does not fit the scene."""
        method, chosen = method_of(row, 1)
        method.check(task, chosen)


@dataclass
class SceneBench:
    """Makes cells."""

    source: SceneSource

    @one_blas_thread()
    def make(self, task: Task) -> Cell:
        """Fit a method, map the scene, score the map on the test pixels."""
        try:
            return self._make(task)
        except Exception as why:
            return failed(task, why)

    @one_blas_thread()
    def trial(self, row: Row) -> Pace:
        """Seconds that a network takes: of a step, of what comes before the first, and of a map."""
        try:
            on = self.source.task(0)
            with headroom(self.source.device) as room:
                self._fit(row, on, 1, 0)  # whatever is done only once in a process
                _, few = self._fit(row, on, FEW, 0)
                model, more = self._fit(row, on, MORE, 0)
                began = quiet_clock()
                model.map(on.scene, self._runtime(0))
                test = quiet_clock() - began
            step = max(more - few, 0.0) / (MORE - FEW)
            return Pace(row.key, step, max(few - FEW * step, 0.0), test, room.bytes)
        except Exception as why:
            return failed_pace(row, why)

    def _make(self, task: Task) -> Cell:
        source, row = self.source, task.row
        on = source.task(task.fold)
        with headroom(source.device) as room:
            model, training_s = self._fit(row, on, task.steps, task.fold)
            began = quiet_clock()
            found = model.map(on.scene, self._runtime(task.fold))
            prediction_s = quiet_clock() - began
        found.check_finite(on.scene.name)
        told = tested(found, on)
        network = getattr(model, "network", None)
        return Cell(
            row.key, task.fold, task.seed, float(told.oa),
            {OA: float(told.oa), AA: float(told.aa), KAPPA: float(told.kappa)}, task.steps,
            int(on.split.train.sum()), int(on.split.test.sum()), training_s, prediction_s,
            None if network is None else parameters_of(network),
            None if network is None else madds_of(network, shape_of(model, source.window)), room.bytes,
        )  # fmt: skip

    def _fit(self, row: Row, on: OnTask, steps: int, fold: int) -> tuple[Any, float]:
        method, chosen = method_of(row, steps)
        began = quiet_clock()
        return method.fit(on, chosen, self._runtime(fold)), quiet_clock() - began

    def _runtime(self, fold: int) -> Runtime:
        seed = (self.source.settings.seed + fold) % (LARGEST_SEED + 1)
        return Runtime(seed, self.source.device, choose_precision(self.source.device), quiet=True)


def method_of(row: Row, steps: int) -> tuple[Method, Any]:
    """The method of a row and its settings; baselines have their own defaults."""
    if row.kind != "baseline":
        return scene_method(row, steps)
    method = linear_method() if row.key == LINEAR else METHODS[row.key]
    return method, method.settings()


def linear_method() -> Method:
    """Linear discriminant analysis of single spectra: what a linear function of a pixel alone can tell."""
    from hyperseg.hsi.classical import fit_lda
    from hyperseg.recipes.methods.classical import classical_method

    return classical_method(LINEAR, fit_lda, window=1)


def shape_of(model: Any, window: tuple[int, ...]) -> tuple[int, ...]:
    """The input of a fitted network that gives one window of the map."""
    from hyperseg.engine.forward import layout_of

    network = model.network
    sides = tuple(side + 2 * int(network.margin) for side in window)
    bands = model.preprocess.n_out
    return (1, 1, bands, *sides) if layout_of(network) == "depth" else (1, bands, *sides)
