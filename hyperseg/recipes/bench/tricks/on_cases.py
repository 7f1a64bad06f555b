"""Cells of a folder of images or volumes: a network of a fold, and Dice of the cases that it did not see."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core.runtime import Runtime
from hyperseg.engine.device import choose_precision
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.medical.validity.whole import check_plan_values
from hyperseg.recipes.bench.cases import DICE, Held, case_dice, case_scores, preparation_of
from hyperseg.recipes.bench.tricks.pace import RowPace
from hyperseg.recipes.bench.tricks.rows import PLAIN, Cell, Row, Task
from hyperseg.recipes.segment.learning import learn, start_net
from hyperseg.recipes.segment.methods.chosen import CaseMethod, chosen_method

if TYPE_CHECKING:
    from torch import nn

FEW, MORE = 2, 6  # steps of a trial


@dataclass(frozen=True)
class CaseSource:
    """All that cells of a folder are made of.

    Attributes:
        folder: its cases.
        plan: before a method changes it.
        configuration: the network of the plan that is trained.
        method, settings: of the baseline.
        folds: names of the cases that each holds out.
        stored: cases as they are prepared, by `preparation_of` a plan and by name.
        networks: folder of the baseline's networks.
        device: where networks are.
        seed: of the first one.
        mirror: whole cases are seen in mirror images too.
    """

    folder: CaseFolder
    plan: Plan
    configuration: str
    method: str
    settings: Any
    folds: tuple[tuple[str, ...], ...]
    stored: Mapping[str, Mapping[str, StoredCase]]
    networks: Path
    device: str
    seed: int
    mirror: bool

    def open(self) -> CaseBench:
        return CaseBench(self)

    def of(self, row: Row) -> tuple[CaseMethod, Plan]:
        """Method and plan of a row."""
        method = chosen_method(self.method, self.settings, row.tricks)
        return method, method.planned(self.plan)

    def check(self, row: Row) -> None:
        """Raise SettingError where a row's tricks do not fit the method or the plan."""
        method, plan = self.of(row)
        check_plan_values(plan)
        method.on.check(plan, method.settings)
        method.check_ready(plan.configuration(self.configuration), len(plan.facts.classes))


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

    def make(self, task: Task) -> list[Cell]:
        """Train a network, or take the baseline's, and score every row of the task with it."""
        source, found = self.source, []
        net, training_s = self._trained(task)
        train = [name for part in source.folds for name in part if part is not source.folds[task.fold]]
        for row in task.rows:
            began = time.perf_counter()
            dices = [self._dice(row, net, name, source.seed + task.seed) for name in source.folds[task.fold]]
            seconds = time.perf_counter() - began
            scores = case_scores(dices, source.plan.facts.classes[1:])
            found.append(
                Cell(
                    row.key, task.fold, task.seed, scores[DICE], scores, task.steps, len(train), len(dices),
                    training_s, seconds,
                )
            )  # fmt: skip
        return found

    def trial(self, row: Row) -> RowPace:
        """Seconds that a row takes: of a step, of what comes before the first, and of a held-out case."""
        net, _ = self._learnt(row, 0, 0, 1)  # whatever is done only once in a process
        _, few = self._learnt(row, 0, 0, FEW)
        _, more = self._learnt(row, 0, 0, MORE)
        step = max(more - few, 0.0) / (MORE - FEW)
        name = self.source.folds[0][0]
        self.held.scene(name)
        began = time.perf_counter()
        self._dice(row, net, name, 0)
        return RowPace(row, step, max(few - FEW * step, 0.0), time.perf_counter() - began)

    def _trained(self, task: Task) -> tuple[nn.Module, float]:
        if task.trained != PLAIN:
            return self._learnt(task.trained, task.fold, task.seed, task.steps)
        from safetensors.torch import load_file, save_file

        file = self.source.networks / f"fold{task.fold}-seed{task.seed}.safetensors"
        note = file.with_suffix(".json")
        if note.exists():  # written last
            method, plan = self.of(PLAIN)
            net = start_net(method, plan, plan.configuration(self.source.configuration), self._runtime(task.seed))
            net.load_state_dict(load_file(file))
            return net.eval(), float(json.loads(note.read_text(encoding="utf-8"))["seconds"])
        net, seconds = self._learnt(PLAIN, task.fold, task.seed, task.steps)
        file.parent.mkdir(exist_ok=True)
        save_file({name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}, file)
        note.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
        return net, seconds

    def _learnt(self, row: Row, fold: int, seed: int, steps: int) -> tuple[nn.Module, float]:
        source = self.source
        method, plan = self.of(row)
        configuration, runtime = plan.configuration(source.configuration), self._runtime(seed)
        stored = source.stored[preparation_of(plan, source.configuration)]
        cases = [case for name, case in stored.items() if name not in source.folds[fold]]
        began = time.perf_counter()
        net = start_net(method, plan, configuration, runtime)
        learn(net, method, plan, configuration, cases, (), steps=steps, runtime=runtime, title=row.key)
        return net, time.perf_counter() - began

    def _runtime(self, seed: int) -> Runtime:
        source = self.source
        return Runtime(source.seed + seed, source.device, choose_precision(source.device), quiet=True)

    def _dice(self, row: Row, net: nn.Module, name: str, seed: int) -> tuple[float, ...]:
        """Dice of every foreground class of a held-out case."""
        source, (method, plan) = self.source, self.of(row)
        return case_dice(
            self.held.scene(name), net, plan, source.configuration, method, mirror=source.mirror, device=source.device,
            seed=seed,
        )  # fmt: skip
