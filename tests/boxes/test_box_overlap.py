"""Overlap against counting voxels, codes there and back, anchors where a head's cells are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.codes import MOST, decode, encode
from hyperseg.boxes.overlap import centres, clipped, iou, iou_in_pairs, sizes, volumes
from hyperseg.core import SettingError

AXES = pytest.mark.parametrize("n", [2, 3])


def drawn(count: int, n: int, *, seed: int, side: int = 12) -> Tensor:
    """(count, 2n) whole boxes of 1 to 6 voxels a side that begin inside a cube."""
    generator = torch.Generator().manual_seed(seed)
    lo = torch.randint(0, side - 6, (count, n), generator=generator)
    return torch.cat([lo, lo + torch.randint(1, 7, (count, n), generator=generator)], 1).float()


def voxels(box: Tensor, n: int, side: int = 12) -> Tensor:
    """The cube with True in a box."""
    grid = torch.zeros((side,) * n, dtype=torch.bool)
    whole = box.int().tolist()
    grid[tuple(slice(lo, hi) for lo, hi in zip(whole[:n], whole[n:], strict=True))] = True
    return grid


@AXES
def test_overlap_counts_voxels(n: int) -> None:
    a, b = drawn(9, n, seed=1), drawn(7, n, seed=2)
    counted = torch.tensor(
        [[float((voxels(p, n) & voxels(q, n)).sum() / (voxels(p, n) | voxels(q, n)).sum()) for q in b] for p in a]
    )
    found = iou(a, b)
    torch.testing.assert_close(found, counted)
    assert 0 < (found > 0).float().mean() < 1  # both kinds are there
    torch.testing.assert_close(iou(b, a), found.T)
    torch.testing.assert_close(iou_in_pairs(a[:7], b), found[:7].diagonal())
    assert volumes(a).tolist() == [float(voxels(p, n).sum()) for p in a]


@AXES
def test_overlap_has_its_limits(n: int) -> None:
    boxes = drawn(6, n, seed=3)
    assert iou(boxes, boxes).diagonal().tolist() == [1.0] * 6
    beside = boxes.clone()
    beside[:, 0], beside[:, n] = boxes[:, n], boxes[:, n] + 1  # half open: they touch and share nothing
    assert (iou_in_pairs(boxes, beside) == 0).all()
    empty = torch.zeros(1, 2 * n)
    assert iou(empty, empty).item() == 0
    assert iou(boxes[:0], boxes).shape == (0, 6)


def test_clipped_boxes_stay_inside() -> None:
    found = clipped(torch.tensor([[-2.0, 3.0, 4.0, 9.0], [7.0, 7.0, 9.0, 9.0]]), (5, 6))
    assert found.tolist() == [[0, 3, 4, 6], [5, 6, 5, 6]]
    assert volumes(found).tolist() == [12, 0]


@AXES
def test_codes_come_back(n: int) -> None:
    boxes, anchors = drawn(50, n, seed=4).double(), drawn(50, n, seed=5).double()
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes)
    codes = torch.randn(50, 2 * n, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    torch.testing.assert_close(encode(decode(codes, anchors), anchors), codes)
    torch.testing.assert_close(decode(torch.zeros_like(anchors), anchors), anchors)


def test_codes_by_hand() -> None:
    anchor, box = torch.tensor([[0.0, 0.0, 4.0, 8.0]]), torch.tensor([[1.0, 2.0, 9.0, 6.0]])
    assert encode(box, anchor).tolist()[0] == pytest.approx([(5 - 2) / 4, 0.0, math.log(2), math.log(0.5)])


def test_wild_codes_are_finite_boxes() -> None:
    anchor = torch.tensor([[0.0, 0.0, 4.0, 8.0]])
    found = decode(torch.full((1, 4), 1e4), anchor)
    assert found.isfinite().all()
    assert sizes(found)[0].tolist() == pytest.approx([4 * math.exp(MOST), 8 * math.exp(MOST)], rel=1e-3)


def test_anchors_lie_around_the_cells_of_a_head() -> None:
    """(A, *cells) row-major: anchor a of cell (i, j) is the box of size a around ((i, j) + 1/2) * stride."""
    anchors = Anchors((((4.0, 6.0), (8.0, 2.0)), ((8.0, 8.0), (16.0, 4.0))), ((2, 3), (4, 6)))
    shape = (9, 12)
    assert anchors.cells(shape) == [(5, 4), (3, 2)]
    assert (anchors.per_cell, anchors.n_axes) == (2, 2)
    for found, level, stride, cells in zip(
        anchors.boxes(shape), anchors.sizes, anchors.strides, anchors.cells(shape), strict=True
    ):
        placed = found.reshape(2, *cells, 4)
        for a, size in enumerate(level):
            for i in range(cells[0]):
                for j in range(cells[1]):
                    middle = ((i + 0.5) * stride[0], (j + 0.5) * stride[1])
                    expected = [m + s * h for s in (-0.5, 0.5) for m, h in zip(middle, size, strict=True)]
                    assert placed[a, i, j].tolist() == expected


@AXES
def test_anchors_of_a_mirrored_image_are_mirrored_anchors(n: int) -> None:
    """Where strides divide the image: what makes flips of maps and flips of boxes the same."""
    anchors = Anchors((((4.0,) * n, (7.0,) * n),), ((4,) * n,))
    shape = (16, 8, 12)[:n]
    (found,) = anchors.boxes(shape)
    placed = found.reshape(2, *anchors.cells(shape)[0], 2 * n)
    for axis in range(n):
        mirrored = placed.flip(axis + 1).clone()
        mirrored[..., axis] = shape[axis] - placed.flip(axis + 1)[..., n + axis]
        mirrored[..., n + axis] = shape[axis] - placed.flip(axis + 1)[..., axis]
        assert torch.equal(mirrored, placed)
    assert torch.equal(centres(found)[: len(found) // 2], centres(found)[len(found) // 2 :])


@pytest.mark.parametrize(
    ("sizes_of", "strides", "said"),
    [
        ((), (), "0 and 0 levels"),
        ((((4.0, 4.0),),), ((2, 2), (4, 4)), "1 and 2 levels"),
        ((((4.0, 4.0),), ((4.0, 4.0), (8.0, 8.0))), ((2, 2), (4, 4)), "same number of anchor sizes"),
        ((((4.0, 4.0, 4.0),),), ((2, 2),), "a number for each axis"),
        ((((4.0, 0.0),),), ((2, 2),), "positive numbers of voxels"),
        ((((4.0, 4.0),),), ((2, 0),), "whole numbers of voxels from 1"),
    ],
)
def test_wrong_anchors_are_refused(sizes_of: object, strides: object, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Anchors(sizes_of, strides)  # type: ignore[arg-type]


def test_an_image_of_other_axes_is_refused() -> None:
    with pytest.raises(SettingError, match="2 axes do not fit"):
        Anchors((((4.0, 4.0),),), ((2, 2),)).boxes((8, 8, 8))
