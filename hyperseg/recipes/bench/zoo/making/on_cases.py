"""Cells of a folder of images or volumes: a network of a fold, and Dice of the cases that it did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from hyperseg.core.runtime import Runtime
from hyperseg.engine.device import choose_precision
from hyperseg.engine.meter import quiet_clock
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.recipes.bench.cases import DICE, Held, Parts, case_dice, case_scores
from hyperseg.recipes.bench.zoo.choosing import LINEAR
from hyperseg.recipes.bench.zoo.making.counting import headroom, madds_of, parameters_of
from hyperseg.recipes.bench.zoo.making.methods import case_method
from hyperseg.recipes.bench.zoo.making.pixels import (
    LINEAR_PIXELS,
    SVM_PIXELS,
    ClassifiedPixels,
    Fit,
    fit_linear,
    fit_pixels,
    fit_rbf,
)
from hyperseg.recipes.bench.zoo.pace import FEW, MORE, Pace, failed_pace
from hyperseg.recipes.bench.zoo.rows import Cell, Row, Task, failed
from hyperseg.recipes.segment.learning import learn, start_net
from hyperseg.recipes.segment.methods.chosen import CaseMethod

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class CaseSource:
    """All that cells of a folder are made of.

    Attributes:
        folder: its cases.
        plan, configuration: the one plan of all rows, and its network that is trained.
        folds: names of the cases that each holds out.
        stored: prepared cases by name.
        device: where networks are.
        seed: of the first cell.
    """

    folder: CaseFolder
    plan: Plan
    configuration: str
    folds: Parts
    stored: Mapping[str, StoredCase]
    device: str
    seed: int

    def open(self) -> CaseBench:
        return CaseBench(self)

    def of(self, row: Row) -> tuple[CaseMethod, Plan]:
        """Method and plan of a row."""
        method = case_method(row)
        return method, method.planned(self.plan)

    def check(self, row: Row) -> None:
        """Raise SettingError where a row's network does not take the images: its axes, or the plan's stages."""
        method, plan = self.of(row)
        method.on.check(plan, method.settings)
        start_net(method, plan, plan.configuration(self.configuration), Runtime(self.seed))


@dataclass
class CaseBench:
    """Makes cells; holds the cases that it has read."""

    source: CaseSource
    made: dict[str, tuple[CaseMethod, Plan]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = Held(self.source.folder)

    def of(self, row: Row) -> tuple[CaseMethod, Plan]:
        """Method and plan of a row, made once."""
        if row.key not in self.made:
            self.made[row.key] = self.source.of(row)
        return self.made[row.key]

    def make(self, task: Task) -> Cell:
        """Train a network, or fit a baseline, and score it on the cases of the fold."""
        try:
            return self._make(task)
        except Exception as why:
            return failed(task, why)

    def trial(self, row: Row) -> Pace:
        """Seconds that a network takes: of a step, of what comes before the first, and of a fold's cases."""
        try:
            with headroom(self.source.device) as room:
                task = Task(row, 0, 0, 1)
                net, _ = self._learnt(task, 1)  # whatever is done only once in a process
                _, few = self._learnt(task, FEW)
                _, more = self._learnt(task, MORE)
                step = max(more - few, 0.0) / (MORE - FEW)
                name = self.source.folds[0][0]
                self.held.scene(name)
                began = quiet_clock()
                self._dice(row, net, name, 0)
                case = quiet_clock() - began
            test = case * fmean(map(len, self.source.folds))
            return Pace(row.key, step, max(few - FEW * step, 0.0), test, room.bytes)
        except Exception as why:
            return failed_pace(row, why)

    def _make(self, task: Task) -> Cell:
        source, row = self.source, task.row
        parts, plan = source.folds, source.plan
        for name in parts[task.fold]:
            self.held.scene(name)  # read before anything is timed
        with headroom(source.device) as room:
            net, training_s = self._learnt(task, task.steps)
            began = quiet_clock()
            dices = [self._dice(row, net, name, source.seed + task.seed) for name in parts[task.fold]]
            prediction_s = quiet_clock() - began
        scores = case_scores(dices, plan.facts.classes[1:])
        one = plan.configuration(source.configuration)
        counts = not isinstance(net, ClassifiedPixels)
        return Cell(
            row.key, task.fold, task.seed, scores[DICE], scores, task.steps,
            sum(map(len, parts)) - len(parts[task.fold]), len(dices), training_s, prediction_s,
            parameters_of(net) if counts else None,
            madds_of(net, (1, one.backbone.in_channels, *one.patch)) if counts else None, room.bytes,
        )  # fmt: skip

    def _learnt(self, task: Task, steps: int) -> tuple[nn.Module, float]:
        source, row = self.source, task.row
        cases = [case for name, case in source.stored.items() if name not in source.folds[task.fold]]
        seed, began = source.seed + task.seed, quiet_clock()
        if row.kind == "baseline":
            fit, pixels = of_pixels(row.key)
            net = fit_pixels(fit, cases, len(source.plan.facts.classes), pixels=pixels, seed=seed).to(source.device)
            return net, quiet_clock() - began
        method, plan = self.of(row)
        runtime = Runtime(seed, source.device, choose_precision(source.device), quiet=True)
        configuration = plan.configuration(source.configuration)
        net = start_net(method, plan, configuration, runtime)
        learn(net, method, plan, configuration, cases, (), steps=steps, runtime=runtime, title=row.key)
        return net.eval(), quiet_clock() - began

    def _dice(self, row: Row, net: nn.Module, name: str, seed: int) -> tuple[float, ...]:
        source, (method, plan) = self.source, self.of(row)
        return case_dice(
            self.held.scene(name), net, plan, source.configuration, method, mirror=False, device=source.device,
            seed=seed,
        )  # fmt: skip


def of_pixels(key: str) -> tuple[Fit, int]:
    """How a baseline of pixels is fitted, and to how many pixels."""
    return (fit_linear, LINEAR_PIXELS) if key == LINEAR else (fit_rbf, SVM_PIXELS)
