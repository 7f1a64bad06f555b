"""Suppression against the loop that everybody knows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hyperseg.boxes import suppression
from hyperseg.boxes.overlap import iou
from hyperseg.boxes.suppression import suppressed

AXES = pytest.mark.parametrize("n", [2, 3])


def crowd(count: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 2n) boxes in heaps, and scores."""
    generator = torch.Generator().manual_seed(seed)
    heaps = torch.randint(0, 5, (count, n), generator=generator) * 10.0
    lo = heaps + 6 * torch.rand(count, n, generator=generator)
    size = 4 + 4 * torch.rand(count, n, generator=generator)
    return torch.cat([lo, lo + size], 1), torch.rand(count, generator=generator)


def by_loop(boxes: Tensor, scores: Tensor, overlap: float) -> list[int]:
    """One box at a time, from the best: O(n^2)."""
    kept: list[int] = []
    values = iou(boxes, boxes)
    for i in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(float(values[i, j]) <= overlap for j in kept):
            kept.append(i)
    return kept


@AXES
@pytest.mark.parametrize("overlap", [0.0, 0.22, 0.5, 1.0])
@pytest.mark.parametrize("at_once", [7, 512])
def test_suppression_is_the_loop(n: int, overlap: float, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression, "AT_ONCE", at_once)
    boxes, scores = crowd(200, n, seed=n)
    kept = by_loop(boxes, scores, overlap)
    assert suppressed(boxes, scores, overlap=overlap).tolist() == kept
    assert suppressed(boxes, scores, overlap=overlap, most=11).tolist() == kept[:11]
    assert (len(kept) == 200) == (overlap == 1)


@AXES
def test_boxes_apart_all_stay(n: int) -> None:
    corner = torch.cartesian_prod(*[torch.arange(4.0) * 5] * n)
    boxes = torch.cat([corner, corner + 5], 1)  # they touch
    scores = torch.rand(len(boxes), generator=torch.Generator().manual_seed(0))
    assert suppressed(boxes, scores, overlap=0.0).tolist() == scores.argsort(descending=True).tolist()


def test_a_chain_is_struck_out_link_by_link() -> None:
    """Each overlaps only the next: every second stays, as the one that would go for it has gone."""
    lo = torch.arange(40.0) * 2
    boxes = torch.stack([lo, torch.zeros(40), lo + 3, torch.ones(40)], 1)
    assert suppressed(boxes, -lo, overlap=0.1).tolist() == list(range(0, 40, 2))


def test_equal_scores_keep_their_order() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [9, 9, 12, 12]])
    assert suppressed(boxes, torch.ones(3), overlap=0.5).tolist() == [0, 2]


def test_nothing_gives_nothing() -> None:
    found = suppressed(torch.zeros(0, 6), torch.zeros(0), overlap=0.5)
    assert found.shape == (0,)
    assert found.dtype == torch.int64
    boxes, scores = crowd(5, 3, seed=0)
    assert suppressed(boxes, scores, overlap=0.5, most=0).shape == (0,)
