"""One box for one object: of boxes that overlap only the best stays (non-maximum suppression)."""

from __future__ import annotations

import torch
from torch import Tensor

from hyperseg.boxes.overlap import iou

AT_ONCE = 512  # boxes that are decided together; 512 x 512 numbers still fit into the cache of a core
PIECE = 2**14  # boxes that a GPU compares them with at once


def suppressed(boxes: Tensor, scores: Tensor, *, overlap: float, most: int | None = None) -> Tensor:
    """The boxes that stay, from the best to the worst.

    A box goes if its overlap (IoU) with a better one that stays is larger than `overlap`. Boxes are decided in blocks
    and nothing is as large as N x N, so that tens of thousands are no trouble.

    Args:
        boxes: (N, 2n).
        scores: (N), higher is better; of equal ones the earlier is taken for better.
        overlap: 0 to 1; 1 keeps all.
        most: how many may stay.

    Returns:
        (K) int64 indices.
    """
    waiting = torch.argsort(scores, descending=True, stable=True)
    kept = []
    left = len(waiting) if most is None else most
    while len(waiting) and left > 0:
        block, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        stays = block[_stay(iou(boxes[block], boxes[block]) > overlap)][:left]
        kept.append(stays)
        left -= len(stays)
        if len(waiting) and left > 0:
            waiting = waiting[~_hit(boxes[stays], boxes[waiting], overlap)]
    return torch.cat(kept) if kept else waiting[:0]


def _stay(over: Tensor) -> Tensor:
    """(n) bool, best first: a box stays if none that overlaps it and is better does.

    All are taken to stay, and those with a better one beside them are struck out, again and again: after round t the
    first t are right, and what a round does not change is right for all.
    """
    better = over.triu(1).float()
    stays = torch.ones(len(over), dtype=torch.bool, device=over.device)
    while True:
        now = (stays.float() @ better) == 0
        if torch.equal(now, stays):
            return now
        stays = now


def _hit(kept: Tensor, others: Tensor, overlap: float) -> Tensor:
    """(M) bool: which of the others overlap one that is kept; in pieces of bounded memory."""
    pieces = others.split(AT_ONCE if others.device.type == "cpu" else PIECE)
    return torch.cat([(iou(kept, piece) > overlap).any(0) for piece in pieces])
