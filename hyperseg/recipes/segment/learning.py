"""One network of a plan, trained on the cases of one fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.backbone.conv import seeded
from hyperseg.core.parts import Beginning
from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.one_cycle import train
from hyperseg.engine.step.drawn import sent
from hyperseg.engine.training import History, Phase
from hyperseg.medical.augment import Changes
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import (
    Drawn,
    StoredCase,
    draw_batch,
    foreground_voxel,
    make_batch,
    patch_at,
    place,
    window,
)
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Training
from hyperseg.recipes.segment.methods.chosen import CaseMethod

CHECKED = (8, 64)  # patches of a validation: as many as a batch has, but no fewer and no more than these
TIMED = 4  # steps; the first is not counted
VALIDATIONS = 10  # of a training
FEWEST_STEPS = 10
SHORT_STEPS = 2500  # fewer are a short training: ten of the plan's thousand epochs
BEFORE = 2**32  # number of the first step of whatever is done before a training: no step of the training itself
MOST_EPOCHS = 1000  # of a training that ends on a plateau
ON_THE_WAY = "of one answer from one noise, in as few calls as can be: the Dice of drawn masks is told in the end"
SCHEDULES = {"OneCycleLR": "one cycle", "PolynomialLR": "polynomial", "PlateauOfEpochs": "plateau"}


class Learnt(NamedTuple):
    """Attributes: what happened; what the network was trained by, in words."""

    history: History
    optimiser: str


def start_net(method: CaseMethod, plan: Plan, configuration: Configuration, runtime: Runtime) -> nn.Module:
    """The network before its first step; the same weights for every fold."""
    with seeded(runtime.seed):
        return method.build(configuration, len(plan.facts.classes)).to(runtime.device)


def learn(
    net: nn.Module, method: CaseMethod, plan: Plan, configuration: Configuration, train_cases: Sequence[StoredCase],
    validation_cases: Sequence[StoredCase], *, steps: int, runtime: Runtime, title: str,
) -> Learnt:  # fmt: skip
    """Train `net` in place, for so many steps; it ends with its last weights, or their average where a method has one.

    Optimiser and learning rate are functions of step and steps alone, so a training that was interrupted goes on as if
    it had not been. Ten times on the way Dice is told on patches of the validation cases, where there are any; nothing
    is chosen by it.
    """
    make = partial(make_batch, configuration=configuration)
    batches = _batches(train_cases, plan, configuration, runtime.seed)

    def made(number: int) -> tuple[Tensor, Tensor]:
        return make(sent(batches(BEFORE + number), torch.device(runtime.device)))

    goes_on = runtime.goes_on("net")
    change = method.begin(Beginning(net, plan, configuration, steps, made, runtime, goes_on))
    phases, averages = method.lesson(net, plan, configuration, steps)
    predicts = averages["net"].module if averages else net
    history = train(
        phases, batches, steps, modules={"net": net}, averages=averages, runtime=runtime, name="net", title=title,
        make=make if change is None else lambda drawn: change(*make(drawn)),
        validate=validation(predicts, method, plan, configuration, validation_cases, runtime)
        if validation_cases else None,
        keep="last",
    )  # fmt: skip
    return Learnt(history, "; ".join(dict.fromkeys(map(_told, phases))))


def _told(phase: Phase) -> str:
    return f"{type(phase.optimizer).__name__}, {SCHEDULES[type(phase.scheduler).__name__]}"


def planned_steps(training: Training) -> int:
    """Of a training that is as long as its plan says."""
    schedule = training.schedule
    return (schedule.epochs or MOST_EPOCHS) * schedule.steps


def steps_in(
    minutes: float, net: nn.Module, method: CaseMethod, plan: Plan, configuration: Configuration,
    train_cases: Sequence[StoredCase], validation_cases: Sequence[StoredCase], runtime: Runtime,
) -> int:  # fmt: skip
    """How many steps, with ten validations between them, take so long: a few are done by a copy of `net`."""
    copy, times = deepcopy(net), [time.perf_counter()]

    batches = _batches(train_cases, plan, configuration, runtime.seed)
    fit(
        method.lesson(copy, plan, configuration, TIMED)[0], batches, TIMED, modules={"net": copy}, seed=runtime.seed,
        make=partial(make_batch, configuration=configuration), device=runtime.device, precision=runtime.precision,
        report=lambda done, values: times.append(time.perf_counter()), read_every=1, graphs=None,
    )  # fmt: skip
    step = median(np.diff(times[1:]))
    check = validation(copy, method, plan, configuration, validation_cases, runtime)
    began = time.perf_counter()
    with torch.no_grad():
        check()
    spent = VALIDATIONS * (time.perf_counter() - began)
    return max(FEWEST_STEPS, int((60 * minutes - spent) / step))


def validation(
    net: nn.Module, method: CaseMethod, plan: Plan, configuration: Configuration, cases: Sequence[StoredCase],
    runtime: Runtime,
) -> Callable[[], float]:  # fmt: skip
    """Mean foreground Dice over the same patches each time, all patches of a class together."""
    drawn, n_classes = checked_patches(cases, configuration, runtime.seed), len(plan.facts.classes)
    answer = method.score([net], plan, mirror=False)

    def score() -> float:
        both, sizes = np.zeros(n_classes), np.zeros(n_classes)
        for first in range(0, len(drawn), configuration.batch):
            part = drawn[first : first + configuration.batch]
            image, labels = make_batch(sent(part, torch.device(runtime.device)), configuration)
            with torch.autocast(image.device.type, torch.bfloat16, enabled=runtime.precision == "bf16"):
                scores = answer(image)
            found = scores.argmax(1)[labels >= 0].cpu().numpy()
            truth = labels[labels >= 0].cpu().numpy()
            both += np.bincount(truth[truth == found], minlength=n_classes)
            sizes += np.bincount(truth, minlength=n_classes) + np.bincount(found, minlength=n_classes)
        there = sizes[1:] > 0
        return float((2 * both[1:][there] / sizes[1:][there]).mean()) if there.any() else 0.0

    return score


def checked_patches(cases: Sequence[StoredCase], configuration: Configuration, seed: int) -> list[Drawn]:
    """Patches of the validation cases around foreground voxels, as they are."""
    least, most = CHECKED
    found = []
    for index in range(min(max(configuration.batch, least), most)):
        case = cases[index % len(cases)]
        rng = np.random.default_rng([seed, index])
        start = place(case.shape, window(configuration, case.shape), foreground_voxel(case, rng), rng)
        found.append(patch_at(case, configuration, start, Changes()))
    return found


def _batches(
    cases: Sequence[StoredCase], plan: Plan, configuration: Configuration, seed: int
) -> Callable[[int], list[Drawn]]:
    """What is drawn in a step, by its number."""
    return lambda step: draw_batch(cases, configuration, plan.training, seed=seed, step=step)
