"""The score loss of the supervised twin: cross-entropy of objects and of the negatives that look most like them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ANCHORS, POSITIVE, POOL = 64, 0.3, 20  # of an image, share of positives among them, hard negatives to draw one of


def chosen(logits: Tensor, positive: Tensor, rng: np.random.Generator) -> Tensor:
    """Which anchors of one image count: positives, and hard negatives in proportion, one at least.

    Args:
        logits: (N,); positive: (N,) bool.

    Returns:
        Indices, at most 64: of the positives no more than 0.3 of that, drawn at random; negatives drawn at random from
        20 times as many that the network takes most for objects.

    Source: the supervised recipe for LUNA16 in MONAI (hard-negative sampling 64 per image, 0.3 of them positive).
    """
    yes, no = positive.nonzero()[:, 0], (~positive).nonzero()[:, 0]
    most = round(ANCHORS * POSITIVE)
    if len(yes) > most:
        yes = yes[torch.from_numpy(rng.choice(len(yes), most, replace=False)).to(yes.device)]
    wanted = min(max(round(len(yes) * (1 - POSITIVE) / POSITIVE), 1), ANCHORS - len(yes), len(no))
    hardest = no[logits.detach()[no].topk(min(wanted * POOL, len(no))).indices]
    drawn = torch.from_numpy(rng.choice(len(hardest), wanted, replace=False)).to(no.device)
    return torch.cat((yes, hardest[drawn]))


def hard_negative_loss(logits: Tensor, positive: Tensor, rng: np.random.Generator) -> Tensor:
    """Binary cross-entropy, its mean over the anchors that count in all images; logits and positive (B, N)."""
    found = []
    for own, yes in zip(logits, positive, strict=True):
        picked = chosen(own, yes, rng)
        found.append(F.binary_cross_entropy_with_logits(own[picked], yes[picked].to(own), reduction="none"))
    return torch.cat(found).mean()
