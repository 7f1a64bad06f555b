"""The fingerprint of a data set: crops, pooled foreground, and that neither order nor size of cases matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperseg.core import Grid, LabelError, Scene, SceneError
from hyperseg.medical.fingerprint import PER_CASE, fingerprint_of, nonzero_box

CLASSES = ("background", "organ", "lesion")


def case(seed: int, size: tuple[int, ...] = (6, 7, 8), *, channels: int = 1, spacing: Any = None, **more: Any) -> Scene:
    rng = np.random.default_rng(seed)
    grid = Grid(spacing or (1.0,) * len(size), "mm")
    cube = rng.normal(5.0, 2.0, (*size, channels)).astype(np.float32)
    labels = rng.integers(0, 3, size).astype(np.int16)
    return Scene(cube, labels, **{"classes": CLASSES, "grid": grid, "name": f"case{seed}", **more})


def test_percentiles_of_the_pooled_foreground_of_two_cases() -> None:
    one, two = case(1), case(2, (5, 9, 4))
    seen = fingerprint_of([one, two], ("CT",))
    pooled = np.concatenate([c.cube[c.labels > 0][:, 0] for c in (one, two)]).astype(np.float64)
    (found,) = seen.intensities
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(pooled, (0.5, 99.5))))
    assert (found.mean, found.spread) == pytest.approx((pooled.mean(), pooled.std()))
    assert seen.counts == tuple(int(sum((c.labels == k).sum() for c in (one, two))) for k in range(3))
    assert seen.sizes == ((5, 9, 4), (6, 7, 8))
    assert (seen.n_cases, seen.n_axes, seen.unit) == (2, 3, "mm")


def test_background_values_do_not_count() -> None:
    one = case(1)
    cube = np.asarray(one.cube).copy()
    cube[one.labels == 0] += 1000
    assert fingerprint_of([one.with_(cube=cube)], ("MRI",)).intensities == fingerprint_of([one], ("MRI",)).intensities


def test_voxels_without_data_and_without_label_are_left_out() -> None:
    one = case(1)
    hole = np.ones(one.shape, bool)
    hole[0] = False
    cube, labels = np.asarray(one.cube).copy(), np.asarray(one.labels).copy()
    cube[0] = np.nan
    labels[1] = -1
    rest = one.with_(cube=np.asarray(one.cube)[2:], labels=np.asarray(one.labels)[2:])
    holed = fingerprint_of([one.with_(cube=cube, labels=labels, valid=hole)], ("MRI",))
    assert holed.intensities == fingerprint_of([rest], ("MRI",)).intensities
    assert sum(holed.counts) == rest.labels.size


def test_the_order_of_cases_changes_not_a_bit() -> None:
    cases = [case(seed, (4 + seed, 6, 5), channels=2, spacing=(1.0, 0.5 + seed, 2.0)) for seed in range(5)]
    seen = fingerprint_of(cases, ("T1", "T2"))
    assert fingerprint_of(cases[::-1], ("T1", "T2")) == seen
    assert fingerprint_of([cases[i] for i in (2, 0, 4, 1, 3)], ("T1", "T2")) == seen


def test_a_large_case_counts_for_no_more_than_a_sample() -> None:
    large = case(1, (60, 60, 30))
    constant = np.full((60, 60, 30, 1), 9.0, np.float32)
    small = case(2, (2, 2, 2)).with_(cube=np.zeros((2, 2, 2, 1), np.float32), labels=np.ones((2, 2, 2), np.int16))
    (found,) = fingerprint_of([large.with_(cube=constant), small], ("MRI",)).intensities
    assert found.mean == pytest.approx(9.0 * PER_CASE / (PER_CASE + 8))


def test_the_crop_is_the_smallest_box_of_what_is_not_zero() -> None:
    cube = np.zeros((8, 9, 10, 2))
    cube[2, 3, 4, 0] = cube[5, 3, 7, 1] = -1.0
    assert nonzero_box(cube) == (slice(2, 6), slice(3, 4), slice(4, 8))
    assert nonzero_box(np.zeros((3, 4, 1))) == (slice(0, 3), slice(0, 4))
    labels = np.zeros((8, 9, 10), np.int16)
    labels[2, 3, 4] = 1
    seen = fingerprint_of([case(0, (8, 9, 10), channels=2).with_(cube=cube, labels=labels)], ("a", "b"))
    assert seen.sizes == ((4, 1, 4),)
    assert seen.kept == 16 / 720


def test_pictures_have_pixels() -> None:
    seen = fingerprint_of([case(1, (12, 9), grid=Grid())], ("grey",))
    assert (seen.spacings, seen.unit) == (((1.0, 1.0),), "px")


@pytest.mark.parametrize(
    ("cases", "error", "words"),
    [
        ([], SceneError, "at least one image"),
        ([case(1).with_(labels=None)], LabelError, "case1: has no labels"),
        ([case(1), case(2, channels=2)], SceneError, "case2: 2 channels, but 1 names"),
        ([case(1), case(2, (9, 9))], SceneError, "case2: has 2 axes"),
        ([case(1), case(2, classes=("a", "b", "c"))], LabelError, "case2: has classes a, b, c"),
        ([case(1), case(2, grid=Grid((1.0, 1.0), "mm"))], SceneError, "case2: spacing"),
        ([case(1), case(2, spacing=(1.0, 0.0, 1.0))], SceneError, "case2: spacing"),
        ([case(1), case(2, grid=Grid())], SceneError, "case2: its spacing is not known, that of case1 is"),
        ([case(1).with_(cube=np.full((6, 7, 8, 1), np.nan))], SceneError, "case1: NaN"),
    ],
)
def test_what_cannot_be_used_is_named(cases: list[Scene], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fingerprint_of(cases, ("MRI",))
