"""The two sides of the training: what the discriminator minimises, and what the generator does, for one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.backbone import own_statistics
from hyperseg.gan import objective
from hyperseg.gan.networks import Discriminator, Generator, Judged
from hyperseg.gan.settings import Weights


class Batch(NamedTuple):
    """What one step is made of.

    Attributes:
        labelled: (B, 1, L, w, w) patches around training pixels.
        targets: (B,) their classes.
        pool: (U, 1, L, w, w) patches around pixels of the pool.
        codes: (U, noise) of the generator.
        told: (U,) classes a conditional generator is told, else None.
    """

    labelled: Tensor
    targets: Tensor
    pool: Tensor
    codes: Tensor
    told: Tensor | None


@dataclass(frozen=True)
class Game:
    """A discriminator and a generator with opposed aims.

    Labelled, pool and generated patches pass the discriminator apart from each other: in one batch, batch
    statistics would tell them apart. Only labelled ones move the statistics that are kept for prediction.

    Attributes:
        weights: of the terms.
        teacher: moving average of the discriminator, for `weights.agreement`.
        disturb: applied to every patch before the discriminator, real or generated.
    """

    discriminator: Discriminator
    generator: Generator
    weights: Weights
    teacher: torch.nn.Module
    disturb: Callable[[Tensor], Tensor]

    def discriminate(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's terms: L1, and whatever else has a weight."""
        weights = self.weights
        terms = {"L1": _labelled(self.discriminator(self.disturb(batch.labelled)), batch.targets)}
        if weights.unlabelled or weights.agreement:
            real = self._aside(batch.pool)
            if weights.unlabelled:
                terms["L2"] = weights.unlabelled * objective.real_loss(real.classes, real.fake)
            if weights.agreement:
                with torch.no_grad():
                    wanted = self.teacher(batch.pool.flip(-1))
                terms["agreement"] = weights.agreement * objective.agreement_loss(real.classes, wanted)
        if weights.generated or weights.augment:
            with torch.no_grad():
                made = self.generator(batch.codes, batch.told)
            false = self._aside(made)
            if weights.generated:
                terms["L3"] = weights.generated * objective.generated_loss(false.classes, false.fake)
            if weights.augment and batch.told is not None:
                terms["augment"] = weights.augment * _labelled(false.classes, batch.told)
        return terms

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's terms."""
        weights, terms = self.weights, {}
        false = self._aside(self.generator(batch.codes, batch.told))
        if weights.aim in ("match", "both"):
            with torch.no_grad():
                real = self._aside(batch.pool)
            terms["match"] = objective.matching_loss(real.features, false.features)
        if weights.aim in ("fool", "both"):
            terms["fool"] = objective.fooling_loss(false.classes, false.fake)
        if weights.told and batch.told is not None:
            terms["told"] = weights.told * _labelled(false.classes, batch.told)
        return terms

    def _aside(self, patches: Tensor) -> Judged:
        """What the discriminator says, without a trace in its kept statistics."""
        with own_statistics(self.discriminator):
            return self.discriminator.identify(self.disturb(patches))


def _labelled(classes: Tensor, targets: Tensor) -> Tensor:
    return objective.labelled_loss(classes, targets[:, None, None])
