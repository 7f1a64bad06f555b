"""The split by parcels: what a parcel is, training without a cap, and what is said of it."""

from __future__ import annotations

import numpy as np

from hyperseg.data.splits import SPLITS
from hyperseg.data.splits.components import parcel_numbers

parcels, random_total = SPLITS["parcels"], SPLITS["random_total"]


def test_without_a_cap_all_of_the_training_parcels_train() -> None:
    """But for those held out whole; a class of one parcel keeps a fifth of its pixels to validate on."""
    labels = np.full((40, 40), -1, np.int16)
    for i, (row, column) in enumerate((r, c) for r in range(0, 40, 10) for c in range(0, 30, 10)):
        labels[row : row + 8, column : column + 8] = i % 2
    labels[2:38, 32:40] = 2
    few, all_of_them = (parcels(labels, 3, cap=cap, guard=0, seed=1) for cap in (20, None))
    assert all_of_them.how == "parcels(fraction=0.3, cap=none, guard=0, outer=0.35, validation=parcels, val_cap=none)"
    assert "cap=none takes all" in few.note
    assert "cap=" not in all_of_them.note
    np.testing.assert_array_equal(few.test, all_of_them.test)
    side = (labels >= 0) & ~all_of_them.test
    assert not (side & ~all_of_them.train & ~all_of_them.val).any()
    assert (few.train & ~all_of_them.train & ~all_of_them.val).sum() == 0
    for k in range(3):
        assert all_of_them.train[labels == k].sum() > 60
        assert all_of_them.val[labels == k].any()
    assert not parcels(labels, 3, cap=None, val_cap=0, seed=1).val.any()


def test_how_says_what_was_asked_for() -> None:
    labels = np.zeros((20, 20), np.int16)
    labels[10:] = 1
    assert "val_cap=none" in parcels(labels, 2, guard=0, seed=0).how
    assert "val_cap=7" in parcels(labels, 2, guard=0, val_cap=7, seed=0).how
    assert random_total(labels, 2, n=40, seed=0).how == "random_total(n=40, val=none)"


def test_parcels_are_polygons_where_they_are_drawn_and_connected_fields_elsewhere() -> None:
    labels = np.array([[0, 0, -1, 1, 1], [0, -1, 1, -1, 1], [1, 0, 0, -1, 0]], np.int16)
    number = parcel_numbers(labels)
    assert (number == -1).tolist() == (labels == -1).tolist()
    assert len(np.unique(number)) == 5  # two of each class, and none
    assert number[0, 0] == number[1, 0]
    assert number[0, 0] == number[2, 1] == number[2, 2]
    assert number[1, 2] == number[0, 3] == number[1, 4]
    drawn = np.full(labels.shape, -1, np.int32)
    drawn[0, 0], drawn[0, 1] = 4, 5
    again = parcel_numbers(labels, drawn)
    assert (again[0, 0], again[0, 1]) == (4, 5)
    assert again[2, 1] not in (4, 5, -1)
    assert again[1, 0] == again[2, 1]
