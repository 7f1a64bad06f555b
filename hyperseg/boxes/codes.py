"""Boxes as a network says them: moved and stretched from an anchor.

Source: Ren et al., "Faster R-CNN", NIPS 2015, section 3.1.2, with n axes instead of two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.boxes.overlap import centres, sizes

MOST = math.log(1000 / 16)  # of a code of size: beyond it exp would soon be infinite (as usual in detectors)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The codes of boxes, each from its own anchor.

    Args:
        boxes: (N, 2n), of positive size along every axis.
        anchors: (N, 2n).

    Returns:
        (N, 2n): how far the centre moves along each axis, in sizes of the anchor; then the logarithm of how many times
        as long the box is as the anchor.
    """
    size = sizes(anchors)
    return torch.cat([(centres(boxes) - centres(anchors)) / size, (sizes(boxes) / size).log()], 1)


def decode(codes: Tensor, anchors: Tensor) -> Tensor:
    """The boxes of codes; the inverse of `encode` for boxes up to 62.5 times as long as their anchor.

    Args:
        codes: (N, 2n).
        anchors: (N, 2n).

    Returns:
        (N, 2n), of positive size, finite for finite codes.
    """
    size = sizes(anchors)
    move, stretch = codes.chunk(2, 1)
    centre, half = centres(anchors) + move * size, stretch.clamp(max=MOST).exp() * size / 2
    return torch.cat([centre - half, centre + half], 1)
