"""STAPLE: the mask behind those of several raters, and how far each of them is to be trusted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

NEAR = 1e-7  # change of a probability below which it has converged
ROUNDS = 1000  # more are not worth their time: some masks converge slowly
LEAST = torch.finfo(torch.float64).tiny  # probability of what a rater never said: its logarithm is finite


class Consensus(NamedTuple):
    """What STAPLE finds.

    Attributes:
        probs: (K, n) float64 probability of the true class.
        says: (R, K, K) float64 probability that rater r says the second class where the first is true. Of two classes
            `says[:, 1, 1]` is the sensitivity, `says[:, 0, 0]` the specificity.
    """

    probs: Tensor
    says: Tensor


def staple(decisions: Tensor, n_classes: int) -> Consensus:
    """Simultaneous truth and performance level estimation, by expectation and maximisation.

    Pixels that all raters see alike are worked out once, and counted.

    Args:
        decisions: (R, n) classes that the raters say, integers; n is at least 1.
        n_classes: K.

    Source: Warfield et al., "Simultaneous truth and performance level estimation (STAPLE)", IEEE TMI 2004
        (any number of classes; of two it is the binary form), with one prior for all pixels: the share of a class in
        what all raters say.
    Differs: it begins with the raters' shares of votes, not with raters that are nearly perfect, so that one rater, or
        raters that agree, are believed to the letter.
    """

    patterns, which, times = decisions.unique(dim=1, return_inverse=True, return_counts=True)
    said = [one_hot(rater.long(), n_classes).double() for rater in patterns]
    truth = torch.stack(said).mean(0).T
    log_prior = (truth @ times.double() / times.sum()).log()[:, None]
    for _ in range(ROUNDS):
        weights = truth * times
        says = torch.stack([weights @ of for of in said]) / weights.sum(1)[:, None].clamp_min(LEAST)
        told = (log @ of.T for log, of in zip(says.clamp_min(LEAST).log(), said, strict=True))
        before, truth = truth, sum(told, log_prior).softmax(0)
        if (truth - before).abs().max() < NEAR:
            break
    return Consensus(truth[:, which], says)
