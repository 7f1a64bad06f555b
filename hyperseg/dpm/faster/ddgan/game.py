"""The two sides: a discriminator of steps back, and a generator that makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.faster.ddgan.networks import Discriminator, Generator
from hyperseg.dpm.faster.ddgan.step import posterior


class Batch(NamedTuple):
    """What one step is made of; states are clean data and so much noise, nothing scaled.

    Attributes:
        before, x: (B, C, *S) neighbouring states of real data at the levels `then` and `now` (B,).
        now, then: (B,) noise levels.
        scales: (2, B) of the data in the schedule's own coordinates at `then` and `now`: what the networks see.
        place: (B,) by which they are told the time of `now`.
        codes: (B, codes) of the generator.
        noise: (B, C, *S) of its step.
        labels: (B,) classes or None.
    """

    before: Tensor
    x: Tensor
    now: Tensor
    then: Tensor
    scales: Tensor
    place: Tensor
    codes: Tensor
    noise: Tensor
    labels: Tensor | None


@dataclass(frozen=True)
class Game:
    """Who plays, and the weight of the gradient penalty.

    Source: Xiao et al., ICLR 2022, eqs. 3-5: non-saturating losses of a discriminator that sees both states; Mescheder
        et al., "Which Training Methods for GANs do actually Converge?", ICML 2018: R1 on real pairs.
    """

    generator: Generator
    discriminator: Discriminator
    penalty: float

    def step(self, batch: Batch) -> Tensor:
        """The generator's state at the level `then`."""
        seen = per_sample(batch.scales[1], batch.x) * batch.x
        x0 = self.generator(seen, batch.place, batch.codes, batch.labels)
        mean, std = posterior(batch.x, x0, batch.now, batch.then)
        return mean + std * batch.noise

    def discriminate(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's terms."""
        with torch.no_grad():
            made = self._scaled(self.step(batch), batch)
        before = self._scaled(batch.before, batch).detach().requires_grad_(True)
        real, false = self._judge(before, batch), self._judge(made, batch)
        (slope,) = torch.autograd.grad(real.sum(), before, create_graph=True)
        return {
            "real": F.softplus(-real).mean(), "made": F.softplus(false).mean(),
            "penalty": self.penalty / 2 * (slope**2).flatten(1).sum(1).mean(),
        }  # fmt: skip

    def generate(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's term."""
        return {"fool": F.softplus(-self._judge(self._scaled(self.step(batch), batch), batch)).mean()}

    def _scaled(self, before: Tensor, batch: Batch) -> Tensor:
        return per_sample(batch.scales[0], before) * before

    def _judge(self, before: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(before, per_sample(batch.scales[1], batch.x) * batch.x, batch.place, batch.labels)
