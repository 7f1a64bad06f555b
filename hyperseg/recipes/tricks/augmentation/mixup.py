"""Mixup: every image of a batch is mixed with the next one, and their losses are mixed alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, Trick
from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from hyperseg.losses.loss import Loss, Sums, Terms

FINE = 4096  # shares that are drawn from; the middles of as many equal parts of the distribution
MOST_CODES = 2**24  # pairs of classes that float32, in which labels are made smaller, tells apart


@settings
class Mixup:
    """How strongly."""

    eta: float = option(
        0.2, "Of the Beta(eta, eta) that shares are drawn from: 1 is all shares alike, near 0 hardly any mixing.",
        above=0, high=100,
    )  # fmt: skip


@dataclass
class MixedLoss:
    """A loss of class scores of mixed images: that of both their labels, by their shares.

    Attributes:
        loss: of one of the two.
        n_classes: K, see `coded`.
        share: lambda, a scalar; set before every call.
    """

    loss: Loss
    n_classes: int
    share: Any = 1.0

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        """Labels are those of `coded`."""
        one, other = decoded(labels, self.n_classes)
        mine, its = self.loss(logits, one, sums), self.loss(logits, other, sums)
        return {name: self.share * value + (1 - self.share) * its[name] for name, value in mine.items()}


def on_cases(on: OnCases, chosen: Mixup) -> OnCases:
    """lambda * one + (1 - lambda) * the next image of the batch, lambda drawn anew for each batch from Beta(eta, eta).

    The network sees the mixed images once; the loss is lambda times that of one label plus 1 - lambda times that of the
    other, at every level of the decoder that counts. Images are mixed as they are learnt from, after all changes.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, also a row of Chaitanya et al.,
    NeurIPS 2020.
    Differs: losses are mixed, not labels, which is the same for cross-entropy and another thing for Dice. The default
    of eta is our reconstruction.
    """
    if on.loss is None:
        raise SettingError("the method minimises no loss of class scores, of which two could be mixed.")
    if on.own_terms:
        raise SettingError("its network learns from labels beside the loss too, and mixed ones are none: leave it out.")

    def lesson(net: Any, plan: Any, configuration: Any, steps: int, settings: Any, loss: Any) -> tuple[Any, Any]:
        mixed = MixedLoss(loss, len(plan.facts.classes))
        phases, averages = on.lesson(net, plan, configuration, steps, settings, mixed)
        table = shares(chosen.eta).to(next(net.parameters()).device)
        return [replace(phase, loss=mixing(phase.loss, mixed, table)) for phase in phases], averages

    return replace(on, lesson=lesson)


def mixing(learn: Callable[[Any], Any], loss: MixedLoss, table: Tensor) -> Callable[[Any], Any]:
    """What a phase minimises, on mixed batches; shares are drawn where the images are, by torch's own generator.

    Args:
        learn: (images, classes) -> terms, by `loss`.
        loss: told the share of each batch.
        table: equally likely shares, where the images are.
    """
    import torch

    def terms(batch: tuple[Tensor, Tensor]) -> Any:
        images, classes = batch
        place = (torch.rand(1, device=table.device) * len(table)).long().clamp(max=len(table) - 1)
        loss.share = table.gather(0, place)[0]
        return learn(mixed(images, classes, loss.share, loss.n_classes))

    return terms


def mixed(images: Tensor, classes: Tensor, share: Tensor | float, n_classes: int) -> tuple[Tensor, Tensor]:
    """(B, C, *S) and (B, *S) -> each image with a share of the next, the last with the first; and `coded` classes."""
    return share * images + (1 - share) * images.roll(-1, 0), coded(classes, classes.roll(-1, 0), n_classes)


def coded(one: Tensor, other: Tensor, n_classes: int) -> Tensor:
    """Two maps of classes, -1 where none is known, as one of whole numbers from 0: `decoded` has them again."""
    if (n_classes + 1) ** 2 > MOST_CODES:
        raise SettingError(f"{n_classes} classes are more than mixup can tell apart in pairs: leave it out.")
    return (one + 1) * (n_classes + 1) + other + 1


def decoded(codes: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Both maps of `coded`."""
    return codes.div(n_classes + 1, rounding_mode="floor") - 1, codes.remainder(n_classes + 1) - 1


def shares(eta: float) -> Tensor:
    """(FINE) float32: the middle of each of so many equally likely parts of Beta(eta, eta), in ascending order."""
    import numpy as np
    import torch
    from scipy.stats import beta

    parts = (np.arange(FINE) + 0.5) / FINE
    return torch.from_numpy(beta.ppf(parts, eta, eta)).float()


MIXUP = Trick("mixup", "augmentation", on_cases, settings=Mixup)
