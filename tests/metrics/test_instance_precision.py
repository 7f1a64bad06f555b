"""Average precision of masks, the nuclei score and panoptic quality, against loops and by hand."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics.instances.panoptic import Panoptic, panoptic, panoptic_of
from hyperseg.metrics.instances.precision import (
    OVERLAPS,
    Instances,
    ids_of,
    mask_average_precision,
    mask_iou,
    mean_mask_average_precision,
    nuclei_score,
)

Ints = NDArray[np.int32]


def strip(*runs: tuple[int, int]) -> Ints:
    """(1, N) a map of runs (number, length)."""
    return np.concatenate([np.full(n, number, np.int32) for number, n in runs])[None]


def drawn(seed: int, shape: tuple[int, ...] = (9, 8, 3)) -> Ints:
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.int32) * 7


def looped(a: Ints, b: Ints) -> NDArray[np.float64]:
    """IoU, pair by pair, pixel by pixel."""
    table = []
    for i in sorted({*a.ravel().tolist()} - {0}):
        row = []
        for j in sorted({*b.ravel().tolist()} - {0}):
            both = [(p == i, q == j) for p, q in zip(a.ravel(), b.ravel(), strict=True)]
            row.append(sum(p and q for p, q in both) / sum(p or q for p, q in both))
        table.append(row)
    return np.array(table)


def looped_precision(found: list[Instances], truth: list[Ints], overlap: float) -> float:
    """By a list of all objects, sorted; scores differ."""
    answers = [(score, k, i) for k, one in enumerate(found) for i, score in enumerate(one.scores)]
    taken: set[tuple[int, int]] = set()
    right, points = 0, []
    objects = sum(len(ids_of(there)) for there in truth)
    for n, (_, k, i) in enumerate(sorted(answers, reverse=True), start=1):
        values = looped(found[k].map, truth[k])[i]
        free = [(value, j) for j, value in enumerate(values) if value >= overlap and (k, j) not in taken]
        if free:
            taken.add((k, max(free)[1]))
            right += 1
        points.append((right / objects, right / n))
    area, before = 0.0, 0.0
    for recall, _ in points:
        area += (recall - before) * max(p for r, p in points if r >= recall)
        before = recall
    return area


@pytest.mark.parametrize("shape", [(40,), (9, 8), (5, 4, 6)])
def test_overlaps_equal_those_of_a_loop(shape: tuple[int, ...]) -> None:
    a, b = drawn(0, shape), drawn(1, shape)
    np.testing.assert_allclose(mask_iou(a, b), looped(a, b))
    np.testing.assert_allclose(mask_iou(b, a), looped(a, b).T)


def test_a_map_overlaps_itself_and_nothing_else() -> None:
    np.testing.assert_array_equal(mask_iou(drawn(3), drawn(3)), np.eye(4))
    assert mask_iou(drawn(3), np.zeros((9, 8, 3), np.int32)).shape == (4, 0)


@pytest.mark.parametrize("overlap", [0.1, 0.2, 0.5])
def test_average_precision_equals_a_loop(overlap: float) -> None:
    rng = np.random.default_rng(0)
    truth = [drawn(seed, (12, 6)) for seed in range(4)]
    moved = [
        np.where(rng.random(there.shape) < 0.3 * k, drawn(9 + k, there.shape), there) for k, there in enumerate(truth)
    ]
    found = [Instances(one, rng.permutation(100)[: len(ids_of(one))] / 100 + k / 1000) for k, one in enumerate(moved)]
    assert mask_average_precision(found, truth, overlap=overlap) == pytest.approx(
        looped_precision(found, truth, overlap)
    )


def test_by_hand() -> None:
    truth = strip((1, 4), (0, 2), (2, 4))
    found = strip((5, 3), (0, 3), (6, 1), (7, 3))  # IoU 3/4; 1/4; 3/4
    answer = Instances(found, np.array([0.9, 0.8, 0.7]))
    # right, false, right: precision 1 up to a half, then 2/3
    assert mask_average_precision([answer], [truth], overlap=0.5) == pytest.approx((1 + 2 / 3) / 2)
    assert mask_average_precision([answer], [truth], overlap=0.75) == pytest.approx((1 + 2 / 3) / 2)
    assert mask_average_precision([answer], [truth], overlap=0.8) == 0
    share = sum(overlap <= 0.75 for overlap in OVERLAPS) / len(OVERLAPS)
    assert mean_mask_average_precision([answer], [truth]) == pytest.approx(share * (1 + 2 / 3) / 2)
    assert nuclei_score([found], [truth], overlaps=(0.5, 0.75)) == pytest.approx((2 / 3 + 0) / 2)  # above, not equal
    assert panoptic(found, truth) == Panoptic(2, 1, 0, 1.5)
    assert panoptic(found, truth).drawn == 0.75
    assert panoptic(found, truth).recognised == pytest.approx(2 / 2.5)


def test_quality_is_how_well_times_how_many() -> None:
    total = panoptic_of([(strip((1, 4), (2, 6)), strip((1, 5), (2, 5))), (strip((0, 3)), strip((4, 3)))])
    assert total == panoptic(strip((1, 4), (2, 6)), strip((1, 5), (2, 5))) + Panoptic(missed=1)
    assert total.quality == pytest.approx(total.drawn * total.recognised)
    assert total.quality == pytest.approx((4 / 5 + 5 / 6) / 2.5)


def test_halves_of_an_object_are_no_hit() -> None:
    halves, whole = strip((1, 3), (2, 3)), strip((1, 6))
    assert panoptic(halves, whole) == Panoptic(0, 2, 1, 0.0)
    assert nuclei_score([halves], [whole], overlaps=(0.5,)) == 0


def test_images_without_objects() -> None:
    nothing, one = strip((0, 5)), strip((1, 5))
    none, something = Instances(nothing, np.zeros(0)), Instances(one, np.ones(1))
    assert isnan(mask_average_precision([none, something], [nothing, nothing], overlap=0.5))
    assert mask_average_precision([none], [one], overlap=0.5) == 0
    assert mask_average_precision([something, something], [nothing, one], overlap=0.5) == 0.5
    assert nuclei_score([nothing, one, nothing], [nothing, nothing, one]) == pytest.approx(1 / 3)
    assert isnan(nuclei_score([], []))
    assert panoptic(nothing, nothing).quality == pytest.approx(nan, nan_ok=True)
    assert panoptic(one, nothing).quality == 0
    assert isnan(panoptic(nothing, one).drawn)


def test_what_does_not_belong_together_is_told() -> None:
    one = strip((1, 5))
    with pytest.raises(LabelError, match="one shape"):
        mask_iou(one, one.T)
    with pytest.raises(LabelError, match="whole numbers"):
        ids_of(-one)
    with pytest.raises(LabelError, match="a finite score each"):
        Instances(one, np.ones(2))
    with pytest.raises(SettingError, match="lists of 0 and 1"):
        nuclei_score([], [one])
    with pytest.raises(SettingError, match=r"from 0\.5"):
        nuclei_score([one], [one], overlaps=(0.3,))
    with pytest.raises(SettingError, match="above 0"):
        mask_average_precision([], [], overlap=0)
