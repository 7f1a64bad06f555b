"""Targets of what nobody labelled: the mean of what the network says of turned images, turned back and sharpened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.boxes.codes import decode
from hyperseg.boxes.overlap import clipped, volumes
from hyperseg.boxes.suppression import suppressed
from hyperseg.detection.network import Answer
from hyperseg.detection.symmetries import Sizes, Symmetry

MOST = 20  # objects of an image that are mixed
SAME = 0.1  # overlap from which on two predicted boxes are one object


class Predicted(NamedTuple):
    """Of every anchor, level by level.

    Attributes:
        targets: q, (B, A, *S_l) in [0, 1].
        codes: (B, A, 2n, *S_l), the mean of the codes of all views.
    """

    targets: list[Tensor]
    codes: list[Tensor]


def sharpened(p: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / (p^(1/T) + (1 - p)^(1/T)), as sigmoid(logit(p) / T): no power underflows; 0 and 1 stay.

    T = 1 changes nothing beyond rounding, 1/2 stays 1/2, and small T makes hard targets.

    Source: Wang et al., "FocalMix", CVPR 2020, target prediction (read second-hand); Berthelot et al., "MixMatch",
        NeurIPS 2019, equation 7, of two classes.
    """
    return torch.sigmoid((p.log() - (-p).log1p()) / temperature)


@torch.no_grad()
def predicted(
    answer: Callable[[Tensor], Answer], x: Tensor, views: Sequence[Symmetry], sizes: Sizes, *, temperature: float
) -> Predicted:
    """Targets of images without labels; no gradient runs through them.

    Args:
        answer: a network in evaluation mode (see `evaluated`).
        x: (B, C, *S); every view keeps its shape.
        views: K symmetries, see `hyperseg.detection.symmetries`.
        sizes: of the anchors of every level.
        temperature: see `sharpened`.
    """
    means: list[Tensor] = []
    codes: list[Tensor] = []
    for view in views:
        said, back = answer(view.image(x)), view.inverse
        own = back.maps([logits.float().sigmoid() for logits in said.logits], sizes)
        places = back.codes([code.float() for code in said.codes], sizes)
        means = [a + b for a, b in zip(means, own, strict=True)] if means else own
        codes = [a + b for a, b in zip(codes, places, strict=True)] if codes else places
    k = len(views)
    return Predicted([sharpened(mean / k, temperature) for mean in means], [code / k for code in codes])


@torch.no_grad()
def confident_boxes(
    targets: Tensor, codes: Tensor, anchors: Tensor, shape: Sequence[int], *, least: float
) -> list[Tensor]:
    """The objects that an image is believed to hold: boxes of the anchors whose target is `least` or more.

    Args:
        targets: (B, N); codes: (B, N, 2n); anchors: (N, 2n).
        shape: of the images; boxes are cut there.

    Returns:
        For every image (M, 2n), at most 20, the most likely first.
    """
    found = []
    for own, code in zip(targets, codes, strict=True):
        sure = (own >= least).nonzero()[:, 0]
        boxes = clipped(decode(code[sure], anchors[sure]), shape)
        real = volumes(boxes) > 0
        boxes, scores = boxes[real], own[sure][real]
        found.append(boxes[suppressed(boxes, scores, overlap=SAME, most=MOST)])
    return found


@contextmanager
def evaluated(net: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode inside this block, then as it was: batch norms neither use nor learn the batch."""
    was = net.training
    net.eval()
    try:
        yield net
    finally:
        net.train(was)
