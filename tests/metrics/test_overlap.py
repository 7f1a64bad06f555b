"""Overlap and distances by hand and by brute force over all pairs of surface voxels."""

from __future__ import annotations

from itertools import product
from math import dist, isnan

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.metrics.overlap import overlap, surface_distances


def surface(mask: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Voxels of which a face is open, by looking at every neighbour."""
    found = []
    for at in map(tuple, np.argwhere(mask)):
        for axis, step in product(range(mask.ndim), (-1, 1)):
            other = list(at)
            other[axis] += step
            inside = 0 <= other[axis] < mask.shape[axis]
            if not (inside and mask[tuple(other)]):
                found.append(at)
                break
    return found


def brute(a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, ...]) -> tuple[list[float], list[float]]:
    places = [[tuple(n * mm for n, mm in zip(at, spacing, strict=True)) for at in surface(m)] for m in (a, b)]
    return ([min(dist(p, q) for q in places[1]) for p in places[0]],
            [min(dist(p, q) for q in places[0]) for p in places[1]])  # fmt: skip


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 1.2)])
@pytest.mark.parametrize("seed", range(4))
def test_against_all_pairs(spacing: tuple[float, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.zeros((2, 7, 8, 9), bool)
    for mask in (a, b):
        for _ in range(2):
            low = rng.integers(0, 4, 3)
            mask[tuple(slice(i, i + n) for i, n in zip(low, rng.integers(1, 6, 3), strict=True))] = True
    there, back = brute(a, b, spacing)
    found = surface_distances(a, b, spacing)
    np.testing.assert_allclose(np.sort(found[0]), np.sort(there))
    np.testing.assert_allclose(np.sort(found[1]), np.sort(back))
    scores = overlap(a, b, spacing)
    assert scores.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert scores.assd == pytest.approx(np.mean([*there, *back]))
    assert scores.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert scores.iou == pytest.approx((a & b).sum() / (a | b).sum())
    other = overlap(b, a, spacing)
    assert (other.dice, other.iou, other.hd95) == (scores.dice, scores.iou, scores.hd95)
    assert other.assd == pytest.approx(scores.assd)


def test_by_hand() -> None:
    a, b = np.zeros((2, 1, 10), bool)
    a[0, 2:6] = b[0, 4:8] = True  # four voxels each, two of them shared; in a row all are surface
    found = overlap(a, b, (1.0, 2.0))
    assert (found.dice, found.iou, found.truth, found.predicted) == (0.5, 2 / 6, 4, 4)
    assert found.assd == pytest.approx((4 + 2 + 0 + 0) * 2 / 8)
    assert found.hd95 == pytest.approx(np.percentile([4, 2, 0, 0], 95))


def test_a_mask_and_itself_and_a_shifted_plane() -> None:
    a = np.zeros((9, 9, 9), bool)
    a[2:6, 3:7, 1:8] = True
    same = overlap(a, a)
    assert (same.dice, same.iou, same.hd95, same.assd) == (1, 1, 0, 0)
    plane, other = np.zeros((2, 9, 9, 9), bool)
    plane[2] = other[5] = True
    far = overlap(plane, other, (0.5, 1.0, 1.0))
    assert (far.dice, far.iou, far.hd95, far.assd) == (0, 0, 1.5, 1.5)


def test_empty_masks() -> None:
    a, none = np.ones((2, 3), bool), np.zeros((2, 3), bool)
    neither = overlap(none, none)
    assert all(map(isnan, (neither.dice, neither.iou, neither.hd95, neither.assd)))
    for one in (overlap(a, none), overlap(none, a)):
        assert (one.dice, one.iou) == (0, 0)
        assert isnan(one.hd95)
        assert isnan(one.assd)


def test_what_does_not_fit() -> None:
    with pytest.raises(LabelError, match="one grid"):
        overlap(np.ones((2, 3), bool), np.ones((3, 2), bool))
    with pytest.raises(LabelError, match="3 spacings for 2 axes"):
        overlap(np.ones((2, 3), bool), np.ones((2, 3), bool), (1.0, 1.0, 1.0))
