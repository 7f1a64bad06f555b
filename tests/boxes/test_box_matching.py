"""ATSS against the paper's algorithm read word for word, and what follows from its rules."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from hyperseg.boxes import matching
from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.matching import match
from hyperseg.boxes.overlap import centres, iou
from hyperseg.core import SettingError

SIDE = 48
ANCHORS = {
    2: Anchors((((6.0, 6.0), (9.0, 5.0)), ((14.0, 14.0), (20.0, 12.0))), ((4, 4), (8, 8))),
    3: Anchors((((6.0, 6.0, 6.0),), ((14.0, 14.0, 14.0),)), ((4, 4, 4), (8, 8, 8))),
}
AXES = pytest.mark.parametrize("n", [2, 3])


def boxes_at_random(count: int, n: int, seed: int) -> Tensor:
    """(count, 2n) in a cube of SIDE, 3 to 20 voxels a side."""
    generator = torch.Generator().manual_seed(seed)
    size = 3 + 17 * torch.rand(count, n, generator=generator)
    lo = torch.rand(count, n, generator=generator) * (SIDE - size)
    return torch.cat([lo, lo + size], 1)


def literal(levels: list[Tensor], boxes: Tensor, candidates: int, per_cell: int) -> Tensor:
    """Algorithm 1, one box and one anchor at a time."""
    anchors = torch.cat(levels)
    overlaps, middles = iou(anchors, boxes), centres(anchors)
    best: dict[int, tuple[float, int]] = {}
    for g, box in enumerate(boxes):
        chosen: list[int] = []
        start = 0
        for level in levels:
            distance = (centres(level) - centres(box[None])).norm(dim=1)
            nearest = sorted(range(len(level)), key=lambda i, d=distance: float(d[i]))  # type: ignore[misc]
            chosen += [start + i for i in nearest[: candidates * per_cell]]
            start += len(level)
        values = overlaps[chosen, g]
        threshold = float(values.mean() + values.std())
        n = len(box) // 2
        for i in chosen:
            inside = all(box[a] < middles[i, a] < box[n + a] for a in range(n))
            value = float(overlaps[i, g])
            if value >= threshold and inside and value > best.get(i, (0.0, -1))[0]:
                best[i] = (value, g)
    return torch.tensor([best.get(i, (0.0, -1))[1] for i in range(len(anchors))])


@AXES
@pytest.mark.parametrize("candidates", [1, 4, 9])
def test_matching_is_the_paper_s_algorithm(n: int, candidates: int) -> None:
    levels, boxes = ANCHORS[n].boxes((SIDE,) * n), boxes_at_random(20, n, seed=candidates)
    found = match(levels, boxes, candidates=candidates, every=False)
    assert torch.equal(found, literal(levels, boxes, candidates, ANCHORS[n].per_cell))
    assert candidates == 1 or len(found.unique()) > 10  # most boxes have anchors; of two candidates none is that good


@AXES
def test_every_box_has_an_anchor(n: int) -> None:
    """One that the paper's rule leaves alone has the anchors of largest overlap there are; the others keep theirs."""
    levels, generator = ANCHORS[n].boxes((SIDE,) * n), torch.Generator().manual_seed(n)
    lonely = 0
    for size in (2, 3, 4, 8, 14, 20):
        lo = torch.randint(0, SIDE - size, (6, n), generator=generator).float()
        for box in torch.cat([lo, lo + size], 1)[:, None]:
            plain, found = match(levels, box, every=False), match(levels, box)
            if (plain == 0).any():
                assert torch.equal(found, plain)
                continue
            lonely += 1
            overlap = iou(torch.cat(levels), box)[:, 0]
            assert torch.equal(found == 0, overlap >= overlap.max() - 1e-6)
    assert 0 < lonely < 36


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    levels, boxes = ANCHORS[2].boxes((SIDE, SIDE)), boxes_at_random(20, 2, seed=0)
    whole = match(levels, boxes)
    monkeypatch.setattr(matching, "AT_ONCE", 500)
    assert torch.equal(match(levels, boxes), whole)


@AXES
def test_without_objects_all_anchors_are_negative(n: int) -> None:
    levels = ANCHORS[n].boxes((SIDE,) * n)
    found = match(levels, torch.zeros(0, 2 * n))
    assert found.shape == (sum(map(len, levels)),)
    assert found.dtype == torch.int64
    assert (found == -1).all()


@AXES
def test_a_box_on_an_anchor_is_found_by_it(n: int) -> None:
    levels = ANCHORS[n].boxes((SIDE,) * n)
    for k in (17, 55):
        assert match(levels, levels[0][k][None])[k] == 0


@AXES
def test_mirrored_boxes_have_mirrored_anchors(n: int) -> None:
    """Whole boxes lie in the middle between cells: the ties that a fixed number of candidates would break at random."""
    anchors, shape = ANCHORS[n], (SIDE,) * n
    levels = anchors.boxes(shape)
    boxes = boxes_at_random(12, n, seed=7).round()
    found = match(levels, boxes)
    for axis in range(n):
        mirrored = boxes.clone()
        mirrored[:, axis], mirrored[:, n + axis] = SIDE - boxes[:, n + axis], SIDE - boxes[:, axis]
        start, expected = 0, []
        for level, cells in zip(levels, anchors.cells(shape), strict=True):
            part = found[start : start + len(level)].reshape(anchors.per_cell, *cells)
            expected.append(part.flip(axis + 1).flatten())
            start += len(level)
        assert torch.equal(match(levels, mirrored), torch.cat(expected))


def test_of_two_boxes_an_anchor_takes_the_nearer() -> None:
    (level,) = Anchors((((8.0, 8.0),),), ((8, 8),)).boxes((16, 16))
    close, far = [0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 11.0, 11.0]
    assert match([level], torch.tensor([far, close]))[0] == 1
    assert match([level], torch.tensor([close, far]))[0] == 0
    assert match([level], torch.tensor([close, close]))[0] == 0


def test_many_anchors_take_little_time() -> None:
    """The real size (576,000 anchors, under a second) stands in tests/benchmarks/detection."""
    levels = Anchors((((8.0,) * 3,) * 9,), ((4,) * 3,)).boxes((80, 80, 80))
    boxes = boxes_at_random(20, 3, seed=1)
    start = time.process_time()
    found = match(levels, boxes)
    assert found.shape == (72000,)
    assert time.process_time() - start < 3  # measured: 0.1


def test_no_candidate_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one candidate"):
        match(ANCHORS[2].boxes((SIDE, SIDE)), boxes_at_random(1, 2, seed=0), candidates=0)
