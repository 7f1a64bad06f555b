"""From what the first stage says of anchors to a few hundred boxes that may hold an object."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperseg.boxes.codes import decode
from hyperseg.boxes.overlap import clipped, sizes
from hyperseg.boxes.suppression import suppressed

LEAST = 1.0  # pixels of a side of a box that is kept


@torch.no_grad()
def proposed(
    logits: Tensor, codes: Tensor, anchors: Sequence[Tensor], shape: Sequence[int], *, before: int, most: int,
    overlap: float,
) -> Tensor:  # fmt: skip
    """The best proposals of one image, best first; no gradient runs through them.

    Args:
        logits: (N) of all anchors; codes: (N, 2n).
        anchors: of every level.
        shape: of the image; boxes are cut there.
        before: of each level so many are looked at.
        most: so many stay.
        overlap: IoU above which of two the better stays; those of different levels take part together.

    Returns:
        (K, 2n)
    """
    chosen, start = [], 0
    for level in anchors:
        own = logits[start : start + len(level)]
        chosen.append(own.topk(min(before, len(own)), sorted=True).indices + start)
        start += len(level)
    best = torch.cat(chosen)
    boxes = clipped(decode(codes[best].float(), torch.cat(list(anchors))[best]), shape)
    real = (sizes(boxes) >= LEAST).all(1)
    boxes, scores = boxes[real], logits[best][real]
    return boxes[suppressed(boxes, scores, overlap=overlap, most=most)]
