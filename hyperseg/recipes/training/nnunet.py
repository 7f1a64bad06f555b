"""How nnU-Net trains a planned U-Net on cases: a loss at all levels that count, by the plan's optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hyperseg.engine.one_cycle import one_cycle
from hyperseg.engine.step.plateau import PlateauOfEpochs
from hyperseg.engine.training import Phase
from hyperseg.losses.loss import Loss, Sums, at_levels
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Optimiser, Training
from hyperseg.recipes.segment.learning import MOST_EPOCHS, SHORT_STEPS
from hyperseg.recipes.training.adversary import own_weights
from hyperseg.zoo.network import ZooNet

SHORT_LR, SHORT_WIDTH = 4e-3, 16  # of networks with so many channels first; of wider ones less in proportion
SHORT_DECAY, SHORT_RISE = 1e-2, 0.15
LOSS_AVERAGE, ADAM_BETA2 = 0.93, 0.999
PHASE = "segment"
Batch = tuple[Tensor, Tensor]


class Levelled(Protocol):
    """A network with class scores at several levels of a decoder."""

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        """(B, C, *S) -> logits of every scored level, (B, K, *S_level) from fine to coarse."""

    def parameters(self) -> Iterator[nn.Parameter]: ...


def phase_of(net: Levelled, plan: Plan, configuration: Configuration, steps: int, minimised: Loss) -> Phase:
    """A loss at all levels that count, with the plan's optimiser where there is time for it.

    Adam on a plateau (preset msd2018) is the plan's own however short a training is, see `_on_plateau`.

    Source: the published code of nnU-Net's second version.
    Differs: the rate falls at every step, not at every 250 of them, as short trainings have few. In trainings of fewer
    than `SHORT_STEPS` steps: AdamW over one cycle. SGD with momentum 0.99 first runs into "all background", and has no
    time to leave it (Hippocampus, 170 steps: Dice 0.00; so: 0.75).
    """
    training = plan.training

    sums = Sums(configuration.batch_dice, training.loss.smooth)

    def weighed(levels: Sequence[Tensor], labels: Tensor, weights: Sequence[float]) -> Mapping[str, Tensor]:
        return at_levels(minimised, levels, labels, sums, weights=weights)

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        image, labels = batch
        if isinstance(net, ZooNet):  # it weighs its levels itself, and may add terms of its own
            return net.terms(image, labels, weighed)
        return weighed(net.levels(image), labels, configuration.supervision)

    if training.optimiser.kind == "adam":
        return _on_plateau(net, training, loss, steps)
    if steps < SHORT_STEPS:
        lr = SHORT_LR * min(1.0, SHORT_WIDTH / configuration.backbone.widths[0])
        if isinstance(net, ZooNet):
            lr = min(lr, net.member.highest_lr)
        return one_cycle(
            PHASE, loss, own_weights(net), steps=steps, lr=lr, weight_decay=SHORT_DECAY, rise=SHORT_RISE
        )  # fmt: skip
    power = training.schedule.power
    assert power is not None  # `checks.check_schedule`
    optimiser = _sgd(net, training.optimiser)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, total_iters=steps, power=power)
    return Phase(PHASE, loss, optimiser, clip=training.optimiser.longest_gradient, scheduler=schedule)


def _sgd(net: Levelled, optimiser: Optimiser) -> torch.optim.SGD:
    return torch.optim.SGD(
        own_weights(net), lr=optimiser.lr, momentum=optimiser.momentum, nesterov=optimiser.nesterov,
        weight_decay=optimiser.weight_decay,
    )  # fmt: skip


def _on_plateau(
    net: Levelled, training: Training, loss: Callable[[Batch], Mapping[str, Tensor]], steps: int
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
        own_weights(net), lr=how.lr, betas=(how.momentum, ADAM_BETA2), weight_decay=how.weight_decay,
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
