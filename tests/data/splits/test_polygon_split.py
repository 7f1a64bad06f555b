"""The split by drawn polygon: the polygon, not the connected component, is the unit of evidence."""

import numpy as np
import pytest
from scipy.ndimage import label, maximum_filter

from hyperseg.core import LabelError, Split
from hyperseg.data.splits import SPLITS, folds, make_split

parcels = SPLITS["parcels"]
SHAPE = (60, 80)


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes in 24 polygons of 8 x 10 pixels that touch each other: labels and polygon numbers."""
    rows, columns = np.indices(SHAPE)
    number = (rows // 10) * 8 + columns // 10
    keep = (rows // 10) % 2 == 0  # three bands of eight polygons
    crop = np.random.default_rng(seed).permutation(np.arange(48) % 3)
    return (np.where(keep, crop[number], -1).astype(np.int16), np.where(keep, number, -1).astype(np.int32))


def sides(split: Split) -> np.ndarray:
    return (split.train | split.val).astype(int) + 2 * split.test


def is_whole(split: Split, where: np.ndarray) -> bool:
    return len(set(sides(split)[where].ravel().tolist())) == 1


def same(a: Split, b: Split) -> bool:
    return all((getattr(a, part) == getattr(b, part)).all() for part in ("train", "val", "test"))


@pytest.mark.parametrize("seed", range(4))
def test_no_polygon_is_on_both_sides(seed: int) -> None:
    labels, number = drawn()
    split = parcels(labels, 3, guard=0, cap=10_000, seed=seed, parcels=number)
    for k in np.unique(number[number >= 0]):
        assert is_whole(split, number == k), k
    by_component = parcels(labels, 3, guard=0, cap=10_000, seed=seed)
    assert any(is_whole(by_component, number == k) for k in np.unique(number[number >= 0]))


def test_touching_polygons_of_a_class_are_several() -> None:
    """Two classes, each one connected block: one component would be cut in two, four polygons are dealt whole."""
    labels = np.repeat(np.array([[0], [1]], np.int16), 10, 0) + np.zeros((1, 40), np.int16)
    number = (np.indices(labels.shape)[1] // 10 + 4 * labels).astype(np.int32)
    cut = parcels(labels, 2, guard=0, cap=10_000, seed=1)
    assert "one dominant parcel, cut in two: classes 0, 1" in cut.note
    dealt = parcels(labels, 2, guard=0, cap=10_000, seed=1, parcels=number)
    assert "cut" not in dealt.note
    assert all(is_whole(dealt, number == k) for k in range(8))


def test_a_polygon_across_a_gap_stays_one() -> None:
    """No data runs through all polygons: components fall in two, polygons do not."""
    labels, number = drawn()
    valid = np.ones(SHAPE, bool)
    valid[:, 4::10] = False
    valid[4::10] = False
    for seed in range(5):
        split = parcels(labels, 3, guard=0, cap=10_000, seed=seed, valid=valid, parcels=number)
        assert all(is_whole(split, (number == k) & valid) for k in np.unique(number[number >= 0]))
        pieces = parcels(labels, 3, guard=0, cap=10_000, seed=seed, valid=valid)
        torn = [len(set(sides(pieces)[(number == k) & valid].tolist())) for k in range(8)]
        assert max(torn) == 2


def test_the_guard_is_what_it_was() -> None:
    labels, number = drawn()
    split = parcels(labels, 3, guard=3, cap=20, val_cap=0, seed=2, parcels=number)
    assert split.test.any()
    trained = np.unique(number[split.train])  # the whole polygon is guarded, drawn pixels or not
    side = np.isin(number, trained)
    assert not (split.test & maximum_filter(side, 7)).any()
    beyond = (labels >= 0) & ~maximum_filter(side, 7)
    np.testing.assert_array_equal(split.test, beyond)


def test_components_as_polygons_are_the_same_split() -> None:
    """Polygons that are the connected components change nothing; nor do their numbers, nor those of classes."""
    labels, _ = drawn()
    number = np.full(SHAPE, -1, np.int32)
    for k in range(3):
        found, n = label(labels == k, np.ones((3, 3)))
        number[found > 0] = found[found > 0] + number.max()
        assert n > 1
    for seed in range(3):
        plain = parcels(labels, 3, seed=seed)
        assert same(plain, parcels(labels, 3, seed=seed, parcels=number))
        shuffled = np.append(np.random.default_rng(0).permutation(number.max() + 1), -1)[number]
        assert same(plain, parcels(labels, 3, seed=seed, parcels=shuffled.astype(np.int32)))
        assert same(plain, parcels(np.array([2, 0, 1, -1], np.int16)[labels], 3, seed=seed, parcels=number))


def test_one_polygon_of_a_class_is_cut() -> None:
    labels, number = drawn()
    number[labels == 1] = 99
    split = parcels(labels, 3, guard=0, cap=10_000, val_cap=0, seed=0, parcels=number)
    assert "one dominant parcel, cut in two: classes 1" in split.note
    mine = labels == 1
    assert split.train[mine].sum() == int(0.35 * mine.sum() + 0.5)


def test_labels_without_a_polygon_fall_into_components() -> None:
    labels, number = drawn()
    labels[50:] = -1
    labels[52:56, 5:9] = labels[52:56, 30:34] = 1
    for seed in range(4):
        split = parcels(labels, 3, guard=0, cap=10_000, seed=seed, parcels=number)
        assert is_whole(split, np.s_[52:56, 5:9])
        assert is_whole(split, np.s_[52:56, 30:34])


def test_it_is_said_and_spelt() -> None:
    labels, number = drawn()
    split = make_split("parcels:0.4,guard=2", labels, 3, seed=3, parcels=number)
    assert same(split, parcels(labels, 3, fraction=0.4, guard=2, seed=3, parcels=number))
    assert split.how.startswith("parcels(fraction=0.4,")
    assert "by=polygons" in split.how
    assert "divided by drawn geometries, 24 of them" in split.note
    plain = make_split("parcels", labels, 3, seed=3)
    assert "polygons" not in plain.how + plain.note
    random = (make_split("random_per_class:9", labels, 3, seed=3, parcels=p) for p in (None, number))
    assert same(*random)
    with pytest.raises(LabelError, match="use one grid"):
        parcels(labels, 3, seed=0, parcels=number.T)


def test_parts_for_cross_fitting_are_whole_polygons() -> None:
    labels = np.zeros((10, 40), np.int16)
    number = (np.indices(labels.shape)[1] // 10).astype(np.int32)
    train = labels == 0
    split = Split(train, np.zeros_like(train), np.zeros_like(train), "test", 0)
    parts = folds(split, labels, 4, parcels=number)
    assert sorted(tuple(np.unique(number[part])) for part in parts) == [(0,), (1,), (2,), (3,)]
    strips = folds(split, labels, 4)  # one component: runs of rows
    assert all(len(np.unique(number[part])) == 4 for part in strips)


def test_points_are_said_to_be_no_fields() -> None:
    labels, number = drawn()
    points = np.zeros(SHAPE, bool)
    points[::5, ::5] = True
    few = np.where(points, labels, -1).astype(np.int16)
    each = np.where(few >= 0, np.arange(few.size).reshape(SHAPE), -1).astype(np.int32)
    for drawn_as in (each, None):  # drawn points, and scattered pixels of a raster
        split = parcels(few, 3, guard=0, seed=0, parcels=drawn_as)
        assert "accuracies are those of new points, not of new fields" in split.note
    assert "new points" not in parcels(labels, 3, guard=0, seed=0, parcels=number).note
