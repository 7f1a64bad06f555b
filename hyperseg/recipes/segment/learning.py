"""One network of a plan, trained on the cases of one fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor

from hyperseg.backbone.conv import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.engine.step.drawn import sent
from hyperseg.engine.step.plateau import PlateauOfEpochs
from hyperseg.engine.training import History, Phase
from hyperseg.losses.dice import supervised_at_levels
from hyperseg.medical.augment import Changes
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import UNet, build_unet
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
from hyperseg.medical.training import Optimiser, Training

CHECKED = (8, 64)  # patches of a validation: as many as a batch has, but no fewer and no more than these
TIMED = 4  # steps; the first is not counted
VALIDATIONS = 10  # of a training
FEWEST_STEPS = 10
SHORT_STEPS = 2500  # fewer are a short training: ten of the plan's thousand epochs
SHORT_LR, SHORT_WIDTH = 4e-3, 16  # of networks with so many channels first; of wider ones less in proportion
SHORT_DECAY, SHORT_RISE = 1e-2, 0.15
MOST_EPOCHS = 1000  # of a training that ends on a plateau
LOSS_AVERAGE, ADAM_BETA2 = 0.93, 0.999
PHASE = "segment"
Batch = tuple[Tensor, Tensor]


def start_net(plan: Plan, configuration: Configuration, runtime: Runtime) -> UNet:
    """The network before its first step; the same weights for every fold."""
    with seeded(runtime.seed):
        return build_unet(configuration, len(plan.facts.classes)).to(runtime.device)


def learn(
    net: UNet, plan: Plan, configuration: Configuration, train_cases: Sequence[StoredCase],
    validation_cases: Sequence[StoredCase], *, steps: int, runtime: Runtime, title: str,
) -> History:  # fmt: skip
    """Train `net` in place, for so many steps; it ends with its last weights.

    Optimiser and learning rate are functions of step and steps alone, so a training that was interrupted goes on as if
    it had not been. Ten times on the way Dice is told on patches of the validation cases; nothing is chosen by it.

    Source: the published code of nnU-Net's second version.
    Differs: the rate falls at every step, not at every 250 of them, as short trainings have few.
    """

    batches = _batches(train_cases, plan, configuration, runtime.seed)
    return train(
        [phase_of(net, plan, configuration, steps)], batches, steps, modules={"net": net}, averages={},
        runtime=runtime, name="net", title=title, make=partial(make_batch, configuration=configuration),
        validate=validation(net, configuration, validation_cases, len(plan.facts.classes), runtime), keep="last",
    )  # fmt: skip


def phase_of(net: UNet, plan: Plan, configuration: Configuration, steps: int) -> Phase:
    """Dice and cross-entropy at all levels that count, with the plan's optimiser where there is time for it.

    Adam on a plateau (preset msd2018) is the plan's own however short a training is, see `_on_plateau`.

    Differs: from nnU-Net, in trainings of fewer than `SHORT_STEPS` steps: AdamW over one cycle. SGD with momentum 0.99
    first runs into "all background", and has no time to leave it (Hippocampus, 170 steps: Dice 0.00; so: 0.75).
    """
    training = plan.training

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        image, labels = batch
        found = supervised_at_levels(
            net.levels(image), labels, weights=configuration.supervision, batch=configuration.batch_dice,
            smooth=training.loss.smooth,
        )  # fmt: skip
        return found._asdict()

    if training.optimiser.kind == "adam":
        return _on_plateau(net, training, loss, steps)
    if steps < SHORT_STEPS:
        lr = SHORT_LR * min(1.0, SHORT_WIDTH / configuration.backbone.widths[0])
        return one_cycle(
            PHASE, loss, net.parameters(), steps=steps, lr=lr, weight_decay=SHORT_DECAY, rise=SHORT_RISE
        )  # fmt: skip
    power = training.schedule.power
    assert power is not None  # `checks.check_schedule`
    optimiser = _sgd(net, training.optimiser)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, total_iters=steps, power=power)
    return Phase(PHASE, loss, optimiser, clip=training.optimiser.longest_gradient, scheduler=schedule)


def planned_steps(training: Training) -> int:
    """Of a training that is as long as its plan says."""
    schedule = training.schedule
    return (schedule.epochs or MOST_EPOCHS) * schedule.steps


def told_optimiser(training: Training, steps: int) -> str:
    """What a network of so many steps is trained by, in words."""
    if training.optimiser.kind == "adam":
        return "Adam, plateau"
    return "AdamW, one cycle" if steps < SHORT_STEPS else "SGD, polynomial"


def steps_in(
    minutes: float, net: UNet, plan: Plan, configuration: Configuration, train_cases: Sequence[StoredCase],
    validation_cases: Sequence[StoredCase], runtime: Runtime,
) -> int:  # fmt: skip
    """How many steps, with ten validations between them, take so long: a few are done by a copy of `net`."""
    copy, times = deepcopy(net), [time.perf_counter()]

    batches = _batches(train_cases, plan, configuration, runtime.seed)
    fit(
        [phase_of(copy, plan, configuration, TIMED)], batches, TIMED, modules={"net": copy}, seed=runtime.seed,
        make=partial(make_batch, configuration=configuration), device=runtime.device, precision=runtime.precision,
        report=lambda done, values: times.append(time.perf_counter()), read_every=1, graphs=None,
    )  # fmt: skip
    step = median(np.diff(times[1:]))
    check = validation(copy, configuration, validation_cases, len(plan.facts.classes), runtime)
    began = time.perf_counter()
    with torch.no_grad():
        check()
    spent = VALIDATIONS * (time.perf_counter() - began)
    return max(FEWEST_STEPS, int((60 * minutes - spent) / step))


def validation(
    net: UNet, configuration: Configuration, cases: Sequence[StoredCase], n_classes: int, runtime: Runtime
) -> Callable[[], float]:
    """Mean foreground Dice over the same patches each time, all patches of a class together."""
    drawn = checked_patches(cases, configuration, runtime.seed)

    def score() -> float:
        both, sizes = np.zeros(n_classes), np.zeros(n_classes)
        for first in range(0, len(drawn), configuration.batch):
            part = drawn[first : first + configuration.batch]
            image, labels = make_batch(sent(part, torch.device(runtime.device)), configuration)
            with torch.autocast(image.device.type, torch.bfloat16, enabled=runtime.precision == "bf16"):
                scores = net(image)
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


def _sgd(net: UNet, optimiser: Optimiser) -> torch.optim.SGD:
    return torch.optim.SGD(
        net.parameters(), lr=optimiser.lr, momentum=optimiser.momentum, nesterov=optimiser.nesterov,
        weight_decay=optimiser.weight_decay,
    )  # fmt: skip


def _on_plateau(
    net: UNet, training: Training, loss: Callable[[Batch], Mapping[str, Tensor]], steps: int
) -> Phase:  # fmt: skip
    """Adam whose rate falls to a fifth where the training loss stands still.

    Source: Isensee et al., arXiv 1809.10486; moving mean, weight decay and at most 1000 epochs of its code of 2019.
    Differs: an epoch has so many steps that a thousand fit into the training, 250 at most, so that the rule in epochs
    acts in short trainings too. A training goes on to its last step, with a rate that falls no further than to the
    plan's least one; the original ends there.
    """
    how, plateau = training.optimiser, training.schedule.plateau
    assert plateau is not None  # `checks.check_schedule`
    optimiser = torch.optim.Adam(
        net.parameters(), lr=how.lr, betas=(how.momentum, ADAM_BETA2), weight_decay=how.weight_decay,
        amsgrad=how.amsgrad,
    )  # fmt: skip
    schedule = PlateauOfEpochs(
        optimiser, steps=min(max(steps // MOST_EPOCHS, 1), training.schedule.steps), average=LOSS_AVERAGE,
        gain=plateau.gain, patience=plateau.epochs, factor=plateau.factor, least=plateau.least_lr,
    )  # fmt: skip

    def noted(batch: Batch) -> Mapping[str, Tensor]:
        terms = loss(batch)
        schedule.note(torch.stack([term.float() for term in terms.values()]).sum())
        return terms

    return Phase(PHASE, noted, optimiser, clip=how.longest_gradient, scheduler=schedule)
