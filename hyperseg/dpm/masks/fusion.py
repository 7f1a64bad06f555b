"""What several masks of one image come to, and how far they disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from hyperseg.core.errors import SettingError
from hyperseg.core.maps import Fused
from hyperseg.dpm.masks.settings import Rule
from hyperseg.dpm.masks.staple import staple


def fuse(samples: Iterable[Tensor], rule: Rule) -> Fused:
    """(K, *S) probabilities each -> what they come to; only means are kept, but for STAPLE, which keeps decisions.

    Args:
        samples: at least one, on one device; of "steps" each is a mean over its own steps already.
        rule: "majority": share of the samples that say a class; of those that lead, the one of the larger mean. "mean",
            "steps": the mean. "staple": where all samples say the same, that; else the probability by STAPLE, which
            sees the disputed pixels alone. "staple-all": by STAPLE on all pixels, which a large background biases.

    Raises:
        SettingError: no sample, or an unknown rule.

    Source: Wu et al., "MedSegDiff", 2023, fuse by STAPLE. Mutual information: Depeweg et al., "Decomposition of
        Uncertainty in Bayesian Deep Learning", ICML 2018.
    Differs: STAPLE is an option, as it finds masks too large where most pixels are background.
    """
    seen, decisions = 0, []
    for seen, sample in enumerate(samples, 1):
        if seen == 1:
            mean, votes, doubt = torch.zeros_like(sample), torch.zeros_like(sample), torch.zeros_like(sample[0])
        said = sample.argmax(0, keepdim=True)
        votes.scatter_add_(0, said, torch.ones_like(sample[:1]))
        mean.lerp_(sample, 1 / seen)  # a mean that moves stays exactly what equal samples say
        doubt.lerp_(_entropy(sample), 1 / seen)
        if rule in ("staple", "staple-all"):
            decisions.append(said[0].to(torch.uint8 if len(sample) <= 256 else torch.int16))
    if not seen:
        raise SettingError("no mask to fuse: draw at least 1.")
    disagreement = ((_entropy(mean) - doubt) / math.log(len(mean))).clamp(0, 1)
    match rule:
        case "majority":
            scores = _majority(votes, mean, seen)
        case "mean" | "steps":
            scores = mean
        case "staple":
            scores = _believed(votes / seen, torch.stack(decisions), (votes < seen).all(0))
        case "staple-all":
            scores = _believed(votes / seen, torch.stack(decisions), torch.ones_like(votes[0], dtype=torch.bool))
        case _:
            raise SettingError(f"unknown fusion {rule!r}: choose majority, mean, staple, staple-all or steps.")
    return Fused(scores, mean, disagreement)


def _majority(votes: Tensor, mean: Tensor, n: int) -> Tensor:
    """Share of votes of n; of those that lead, the larger mean gets the next number, so that it is the largest."""
    most, share = votes.amax(0), votes / n
    first = mean.masked_fill(votes < most, -1).argmax(0, keepdim=True)
    top = share.gather(0, first)
    return share.scatter(0, first, torch.nextafter(top, torch.ones_like(top)))


def _believed(share: Tensor, decisions: Tensor, where: Tensor) -> Tensor:
    """(K, *S) share, in place of which (*S) `where` STAPLE speaks."""
    if where.any():
        share[:, where] = staple(decisions[:, where], len(share)).probs.to(share.dtype)
    return share


def _entropy(probs: Tensor) -> Tensor:
    """(K, *S) -> (*S) nats."""
    return torch.special.entr(probs).sum(0)
