"""Active contour loss: short borders around regions that agree with the labels."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.core.settings import option, settings
from hyperseg.losses.ce import cross_entropy
from hyperseg.losses.loss import Sums, Terms


def length(u: Tensor, known: Tensor, *, eps: float) -> Tensor:
    """(B, C, *S) maps of 0 to 1 -> (B, C) lengths of their borders in pixels (areas, of volumes).

    The sum over known pixels of sqrt(sum over axes of (d u)^2 + eps). d u is the difference to the next pixel along the
    axis, 0 behind the last one and where either of the two is not known.

    Args:
        u: probabilities.
        known: (B, *S) bool.
        eps: above 0: where u is flat the root has no slope without it. It adds sqrt(eps) for each flat pixel.
    """
    squares = torch.full_like(u, eps)
    for axis in range(2, u.ndim):
        step = torch.diff(u, dim=axis, append=u.narrow(axis, u.shape[axis] - 1, 1))
        both = known & known.roll(-1, axis - 1)
        squares = squares + (step * both.unsqueeze(1)).square()
    return _summed(squares.sqrt(), known)


def regions(u: Tensor, v: Tensor, known: Tensor) -> Tensor:
    """(B, C, *S), the same of 0 and 1, (B, *S) bool -> (B, C), sums over known pixels of u (1 - v)^2 + (1 - u) v^2."""
    return _summed(u * (1 - v).square() + (1 - u) * v.square(), known)


def _summed(values: Tensor, known: Tensor) -> Tensor:
    return (values * known.unsqueeze(1)).reshape(*values.shape[:2], -1).sum(2)


@settings
class ActiveContour:
    """Length of borders + lam * regions that disagree, per labelled pixel, the mean over the classes but background.

    With u the probability of a class and v 1 where it is, else 0: sum sqrt(|grad u|^2 + eps) + lam sum (u (1 - v)^2 +
    (1 - u) v^2). Lengths and regions add up, so that sums run over the whole batch, whatever `sums` say of that.
    Scores of single pixels, (B, K) with labels (B,), have no borders, and the length is sqrt(eps) there.

    Source: Chen, Williams, Vallabhaneni, Czanner, Williams, Zheng, "Learning Active Contour Models for Medical Image
    Segmentation", CVPR 2019, with its two constants 1 inside and 0 outside.
    Differs: softmax and the mean over classes, for the paper has one foreground class and a sigmoid. Sums are divided
    by the number of labelled pixels, so that the loss does not grow with the image. Cross-entropy is added (`ce`): both
    terms have their flattest slope where an answer is sure and wrong, and a network that calls everything background
    has short borders and stays there. `ce=0` is the paper's loss.
    """

    lam: float = option(1.0, "Weight of the regions beside the length.", low=0, high=1e3)
    ce: float = option(1.0, "Weight of the cross-entropy that is added; 0 is the paper's loss.", low=0, high=1e3)
    eps: float = option(1e-6, "Under the root of the length.", above=0, high=1)

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        logs = logits.float().log_softmax(1)
        known = labels >= 0
        first = min(sums.first, logits.shape[1] - 1)
        classes = torch.arange(first, logits.shape[1], device=labels.device).view(-1, *[1] * (labels.ndim - 1))
        u, v = logs[:, first:].exp(), (labels.unsqueeze(1) == classes).to(logs.dtype)
        pixels = known.sum().clamp(min=1) * u.shape[1]
        found = {
            "length": length(u, known, eps=self.eps).sum() / pixels,
            "regions": self.lam * regions(u, v, known).sum() / pixels,
        }
        return found | ({"cross_entropy": self.ce * cross_entropy(logs, labels)} if self.ce else {})
