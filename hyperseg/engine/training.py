"""What a training run is made of: phases, its history, and the state a checkpoint holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.core.words import counted, listed, one_line
from hyperseg.engine.checkpoint import load_state, save_state
from hyperseg.engine.distributed import rank
from hyperseg.engine.ema import Ema


@dataclass
class Phase:
    """One objective with its optimiser.

    Attributes:
        name: shown in progress and errors; unique within a run.
        loss: batch -> named scalar terms; their sum is minimised.
        optimizer: over this phase's parameters only; other phases' parameters stay untouched.
        every: run this phase at steps divisible by `every`.
        clip: largest gradient norm, or None.
        scheduler: stepped after each step in which this phase was due, or None.
        recorded: its steps may be recorded on a device and played again (`hyperseg.engine.step.recorded`): the loss
            decides nothing by values, and reads or makes no tensor of the host.
    """

    name: str
    loss: Callable[[Any], Mapping[str, Tensor]]
    optimizer: torch.optim.Optimizer
    every: int = 1
    clip: float | None = None
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    recorded: bool = True

    def __post_init__(self) -> None:
        if self.every < 1 or (self.clip is not None and not self.clip > 0):
            raise SettingError(
                f"phase {self.name!r}: every must be at least 1 and clip positive or None, "
                f"got every={self.every}, clip={self.clip}."
            )

    def parameters(self) -> list[nn.Parameter]:
        """The parameters this phase trains, frozen ones left out."""
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]


@dataclass
class History:
    """What happened: loss terms per step, validation scores, and why it ended.

    Attributes:
        steps: steps done when a row of `terms` was written: 1, 2, ...
        terms: name -> value at each of `steps`, named "phase.term" where a run has several phases. A phase
            that was not due repeats its last value; a term that first comes later starts with NaN.
        validated: steps done at each validation.
        scores: score of each validation.
        best: best score, -inf without validation.
        best_step: step whose weights were kept, -1 without validation.
        ended: why training ended, "running" before that.
        seconds: time spent, over all resumptions.
    """

    steps: list[int] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    validated: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: float = -math.inf
    best_step: int = -1
    ended: str = "running"
    seconds: float = 0.0

    def log(self, step: int, terms: Mapping[str, float]) -> None:
        """Append a row; terms that are not given repeat their last value."""
        for name in terms:
            self.terms.setdefault(name, [math.nan] * len(self.steps))
        for name, values in self.terms.items():
            values.append(terms.get(name, values[-1] if values else math.nan))
        self.steps.append(step)

    def latest(self) -> dict[str, float]:
        """The last value of every term, and of "validation" once there was one."""
        row = {name: values[-1] for name, values in self.terms.items()}
        return row | {"validation": self.scores[-1]} if self.scores else row

    def stale(self) -> int:
        """Validations since the best score was first reached."""
        return len(self.scores) - 1 - self.scores.index(self.best) if self.scores else 0


@dataclass
class Training:
    """The state of a run: everything that decides what the remaining steps will do.

    Attributes:
        phases, averages, steps, seed: as given to `fit`.
        modules: by name; the averages' modules are among them.
        history: so far.
        step: steps done.
        best: state of every module at the best validation, or None.
    """

    phases: Sequence[Phase]
    averages: Sequence[Ema]
    modules: dict[str, nn.Module]
    steps: int
    seed: int
    history: History = field(default_factory=History)
    step: int = 0
    best: dict[str, Any] | None = None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) < len(names):
            raise SettingError(f"training needs at least one phase and a name for each, got {listed(names) or 'none'}.")
        if self.steps < 0 or self.seed < 0:
            raise SettingError(f"steps and seed must not be negative, got steps={self.steps}, seed={self.seed}.")

    @property
    def running(self) -> bool:
        return self.step < self.steps and self.history.ended == "running"

    def step_seed(self, process: int = 0) -> int:
        """Seed of the next step's randomness in a process: a function of (seed, step, process) alone."""
        entropy = np.random.SeedSequence([self.seed, self.step, process])
        return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def bystanders(self, phase: Phase) -> list[nn.Module]:
        """Modules that other phases train and this one does not."""
        if len(self.phases) == 1:
            return []
        own = {id(p) for p in phase.parameters()}
        others = {id(p) for other in self.phases for p in other.parameters()} - own
        held = [(module, {id(p) for p in module.parameters()}) for module in self.modules.values()]
        return [module for module, ids in held if ids & others and not ids & own]

    def score(self, value: float) -> None:
        """Note a validation score and keep the weights if none was better; of equal ones the later stay."""
        if math.isnan(value):
            raise TrainingError(
                f"the validation after step {self.step} gave NaN: check that the validation pixels "
                "hold every class the score averages over."
            )
        self.history.validated.append(self.step)
        self.history.scores.append(value)
        if value >= self.history.best:
            self.history.best, self.history.best_step = value, self.step
            self.best = {name: deepcopy(module.state_dict()) for name, module in self.modules.items()}

    def recall_best(self) -> None:
        """Set every module to its weights of the best validation, if there was one."""
        if self.best is not None:
            for name, module in self.modules.items():
                module.load_state_dict(self.best[name])

    def save(self, path: Path | None) -> None:
        """Write the state to `path`; only process 0 does, and nobody where `path` is None."""
        self.history.seconds = time.monotonic() - self.began
        if path is None or rank() != 0:
            return
        state = {
            "step": self.step,
            "steps": self.steps,
            "seed": self.seed,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizers": {p.name: p.optimizer.state_dict() for p in self.phases},
            "schedulers": {p.name: p.scheduler.state_dict() for p in self.phases if p.scheduler is not None},
            "updates": [a.updates for a in self.averages],
            "history": vars(self.history),
            "best": self.best,
        }
        save_state(path, state)

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote.

        Raises:
            RunError: the file is damaged, or of a run with other steps, seed, modules, phases or sizes.
        """
        state = load_state(path)
        ours = _identity(self.steps, self.seed, self.modules, (p.name for p in self.phases))
        try:
            theirs = _identity(state["steps"], state["seed"], state["modules"], state["optimizers"])
            if theirs != ours:
                raise RunError(
                    f"{path}: this training state is of a run of {theirs}, this run is of {ours}. Resume "
                    "with the settings of the interrupted run, or remove the file to start afresh."
                )
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            for phase in self.phases:
                phase.optimizer.load_state_dict(state["optimizers"][phase.name])
                if phase.scheduler is not None:
                    phase.scheduler.load_state_dict(state["schedulers"][phase.name])
            for average, updates in zip(self.averages, state["updates"], strict=True):
                average.updates = updates
            self.step, self.best, self.history = state["step"], state["best"], History(**state["history"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{path}: this training state does not fit the networks and optimisers of this run "
                f"({one_line(str(error))}). Resume with the settings of the interrupted run, or remove the file."
            ) from error
        self.began = time.monotonic() - self.history.seconds


def _identity(steps: int, seed: int, modules: Any, phases: Any) -> str:
    return f"{counted(steps, 'step')}, seed {seed}, modules {listed(sorted(modules))}, phases {listed(sorted(phases))}"
