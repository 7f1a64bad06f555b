"""The objective of a discriminator with K classes and "generated", and of the generator that tries to fool it.

Source: Zhong & Li, arXiv 1802.03495 (2018), eqs. 3-6; Salimans et al., "Improved Techniques for Training GANs",
NeurIPS 2016, for the implicit form and for feature matching.

All terms are written in the margin m = logsumexp(class logits) - fake logit, for which P(generated) = sigmoid(-m):
L2 = softplus(-m) and L3 = softplus(m), stable for any logits. The implicit form is the fake logit 0.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import UNLABELLED


def margin(classes: Tensor, fake: Tensor) -> Tensor:
    """(B, K, ...) class logits and (B, ...) fake logit -> (B, ...), log odds of being real."""
    return classes.logsumexp(1) - fake


def labelled_loss(classes: Tensor, targets: Tensor) -> Tensor:
    """L1 = -E log P(y | z, not generated): cross-entropy of (B, K, ...) logits, the first K.

    The mean over labelled positions, 0 where there are none; (B, ...) targets are -1 where there is no label.
    """
    given, wanted = classes.movedim(1, -1).reshape(-1, classes.shape[1]), targets.flatten()
    total = F.cross_entropy(given, wanted, ignore_index=UNLABELLED, reduction="sum")
    return total / (wanted != UNLABELLED).sum().clamp(min=1)


def real_loss(classes: Tensor, fake: Tensor) -> Tensor:
    """L2 = -E log(1 - P(generated)) over all positions of real cubes, 0 where there are none."""
    return F.softplus(-margin(classes, fake)).sum() / max(fake.numel(), 1)


def generated_loss(classes: Tensor, fake: Tensor) -> Tensor:
    """L3 = -E log P(generated) over all positions of generated cubes."""
    return F.softplus(margin(classes, fake)).mean()


def fooling_loss(classes: Tensor, fake: Tensor) -> Tensor:
    """The generator's non-saturating loss, -E log(1 - P(generated)) on what it generated."""
    return real_loss(classes, fake)


def matching_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Feature matching: mean squared distance of the mean features of two batches (B, width, ...).

    Source: Salimans et al. 2016, section 3.1. No gradient goes to the real features.
    """
    real_mean, generated_mean = (x.flatten(2).mean((0, 2)) for x in (real.detach(), generated))
    return F.mse_loss(generated_mean, real_mean)


def agreement_loss(classes: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy between what a teacher and the discriminator say of the same pixels, disturbed differently.

    Both are (B, K, ...) logits; no gradient goes to the teacher, the averaged discriminator.

    Source: Tarvainen & Valpola, "Mean teachers are better role models", NeurIPS 2017.
    """
    return -(teacher.detach().softmax(1) * classes.log_softmax(1)).sum(1).mean()
