"""One fold of one configuration: trained, tried on the cases it never saw, and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from torch import nn

from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime, check_minutes
from hyperseg.core.words import counted, duration
from hyperseg.engine.meter import metered
from hyperseg.engine.progress import say
from hyperseg.engine.training import History
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import seal
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.choosing import class_means
from hyperseg.recipes.segment.costs.spent import used
from hyperseg.recipes.segment.few_labels.drawing import learnt_from
from hyperseg.recipes.segment.folder import SegmentRun, fold_folder, trained_folds, write_fold
from hyperseg.recipes.segment.held_out.networks import evaluate, networks_of
from hyperseg.recipes.segment.learning import ON_THE_WAY, learn, planned_steps, start_net, steps_in
from hyperseg.recipes.segment.reporting.examples import Examples, write_examples
from hyperseg.recipes.segment.resuming.history import read_history

UNFINISHED, STEPS = "unfinished", "unfinished-steps.json"
POINTS = 500  # of a curve in history.json, at most


@dataclass(frozen=True)
class Budget:
    """How long one network is trained: so many minutes, or exactly so many steps; the plan's steps where both are None.

    Minutes become steps by the pace of the first fold that is trained; the others take as many steps.

    Attributes:
        minutes: of steps and the ten validations between them; preparing cases and predicting whole ones comes on top.
    """

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        check_minutes(self.minutes)


def train_fold(
    run: SegmentRun, folder: CaseFolder, configuration: Configuration, fold: int, stored: Mapping[str, StoredCase],
    budget: Budget, runtime: Runtime, *, mirror: bool = False,
) -> None:  # fmt: skip
    """Train on all cases but the fold's, or on those drawn for it, and write weights and history.

    Args:
        stored: prepared cases; for the second network of a cascade with the first one's answers.
        mirror: whole cases are predicted with their mirror images too.

    Under `Ctrl-C` the state stays in the fold's folder, and the next call goes on with it.
    """
    held_out = run.record.folds[fold]
    drawn = run.record.labelled
    train = [case for name, case in stored.items() if learnt_from(name, held_out, drawn, fold)]
    validation = [stored[name] for name in held_out]
    here = fold_folder(run.root, configuration.name, fold)
    make_folder(here)
    runtime = replace(runtime, checkpoints=here / UNFINISHED)
    method = run.method
    net = start_net(method, run.plan, configuration, runtime)
    steps = _steps(budget, run.plan, here / STEPS) or _as_before(run, configuration.name, budget)
    if steps is None:  # the pace has to be measured
        assert budget.minutes is not None
        steps = steps_in(budget.minutes, net, method, run.plan, configuration, train, validation, runtime)
    write_json(here / STEPS, {"steps": steps, "budget": asdict(budget), "plan": seal(run.plan)})
    title = f"{configuration.name}, fold {fold}"
    say(f"{title}: {counted(steps, 'step')} on {counted(len(train), 'case')}", quiet=runtime.quiet)
    if method.on.samples is not None:
        say(f"{title}: validation on the way is {ON_THE_WAY}", quiet=runtime.quiet)
    with metered(runtime.device) as trained:
        history, optimiser = learn(
            net, method, run.plan, configuration, train, validation, steps=steps, runtime=runtime, title=title,
        )  # fmt: skip
    numbers = _numbers(history, steps, configuration) | {"optimiser": optimiser, "budget": asdict(budget)}
    networks: dict[str, list[nn.Module]] = {configuration.name: [net]}
    if configuration.after:  # its network of the same fold: the others have seen the cases
        networks |= networks_of(run, [configuration.after], fold, runtime)
    slices = Examples()
    with metered(runtime.device) as validated:
        cases = evaluate(
            run, folder, [configuration.name], networks, held_out, mirror=mirror, runtime=runtime, title=title,
            seen=slices.add,
        )  # fmt: skip
    numbers["cases"] = {name: asdict(case) for name, case in cases.items()}
    numbers["mirrored"] = mirror
    numbers["prediction_seconds"] = validated.seconds
    numbers["used"] = used(history, trained, validated)
    means = class_means([case.raw for case in cases.values()])
    told = ", ".join(f"{name} {value:.3f}" for name, value in zip(run.plan.facts.classes[1:], means, strict=True))
    told = f"Dice of {counted(len(cases), 'validation case')}: {told} ({duration(history.seconds)} of training)"
    say(f"{title}: {told}", quiet=runtime.quiet)
    write_examples(here, slices.kept)
    write_fold(run, configuration.name, fold, net.state_dict(), numbers)
    for file in here.glob(f"{UNFINISHED}-*"):  # of tricks too
        file.unlink(missing_ok=True)


def has_begun(folder: Path) -> bool:
    """Whether the training in a fold's folder was interrupted, and goes on from what it has learnt."""
    return Runtime(checkpoints=folder / UNFINISHED).goes_on("net")


def _steps(budget: Budget, plan: Plan, note: Path) -> int | None:
    """Of a training that goes on, what it began with; None where only the minutes are known."""
    if note.exists():
        return int(json.loads(note.read_text(encoding="utf-8"))["steps"])
    if budget.minutes is not None:
        return None
    return planned_steps(plan.training) if budget.steps is None else budget.steps


def _as_before(run: SegmentRun, name: str, budget: Budget) -> int | None:
    """The steps of a fold that was trained before, for so many minutes too: folds are alike, whatever else runs."""
    for fold in trained_folds(run, name):
        history = read_history(run, name, fold)
        if history.get("budget") == asdict(budget):
            return int(history["steps"])
    return None


def _numbers(history: History, steps: int, configuration: Configuration) -> dict[str, Any]:
    every = ceil(max(len(history.steps), 1) / POINTS)
    return {
        "steps": steps,
        "batch": configuration.batch,
        "seconds": history.seconds,
        "at": history.steps[::every],
        "losses": {name: values[::every] for name, values in history.terms.items()},
        "validated": history.validated,
        "patch_dice": history.scores,
    }
