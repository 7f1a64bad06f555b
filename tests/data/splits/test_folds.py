"""Parts of the training pixels for cross-fitting."""

import numpy as np
import pytest
from scipy import ndimage

from hyperseg.core import SettingError, Split
from hyperseg.data.splits import folds, without


def example() -> tuple[Split, np.ndarray]:
    labels = np.full((20, 30), -1, np.int16)
    for i, (y, x) in enumerate([(0, 0), (0, 10), (0, 20), (10, 0), (10, 10), (10, 20)]):
        labels[y : y + 6, x : x + 7] = i % 2
    labels[18, 3:5] = 2
    train = (labels >= 0) & (np.random.default_rng(0).random(labels.shape) < 0.5)
    train[18, 3:5] = True
    empty = np.zeros_like(train)
    return Split(train, empty, (labels >= 0) & ~train, "test", 0), labels


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_parts_are_the_training_pixels_divided(n: int, apart: bool) -> None:
    split, labels = example()
    parts = folds(split, labels, n, apart=apart)
    np.testing.assert_array_equal(np.sum(parts, axis=0), split.train.astype(int))
    for k in (0, 1):
        sizes = [int((part & (labels == k)).sum()) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert all((without(split, part).train & (labels == k)).any() for part in parts)


def test_a_class_with_as_many_parcels_as_parts_is_held_out_by_parcel() -> None:
    labels = np.full((9, 29), -1, np.int16)
    for i in range(3):
        labels[:, 10 * i : 10 * i + 9] = 0
    train = labels == 0
    split = Split(train, np.zeros_like(train), np.zeros_like(train), "test", 0)
    for i, part in enumerate(folds(split, labels, 3)):
        np.testing.assert_array_equal(part.any(0).nonzero()[0], np.arange(10 * i, 10 * i + 9))


def test_scattered_parts_lie_among_what_is_left() -> None:
    split, labels = example()
    for part in folds(split, labels, 3, apart=False):
        near = ndimage.binary_dilation(split.train & ~part, np.ones((5, 5)))
        assert near[part].mean() > 0.9
    once, again = (folds(split, labels, 3, apart=False) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_what_is_left_keeps_the_rest_of_the_split() -> None:
    split, labels = example()
    part = folds(split, labels, 3)[1]
    rest = without(split, part)
    np.testing.assert_array_equal(rest.train, split.train & ~part)
    np.testing.assert_array_equal(rest.test, split.test)
    assert rest.seed == split.seed


def test_one_part_is_no_division() -> None:
    with pytest.raises(SettingError, match="2 parts"):
        folds(*example(), 1)
