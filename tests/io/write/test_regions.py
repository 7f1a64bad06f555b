"""Regions and the merging of small ones, against flooding by hand and the sizes that must be left."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.io.write.regions import find_regions, merge_small, region_sums


def flooded(labels: np.ndarray, start: tuple[int, int]) -> set[tuple[int, int]]:
    """Pixels of the class of `start` reached over sides."""
    seen, edge = {start}, [start]
    while edge:
        r, c = edge.pop()
        for q in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            inside = 0 <= q[0] < labels.shape[0] and 0 <= q[1] < labels.shape[1]
            if inside and q not in seen and labels[q] == labels[start]:
                seen.add(q)
                edge.append(q)
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_regions_are_what_flooding_finds(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(-1, 3, (12, 15)).astype(np.int16)
    numbers, classes = find_regions(labels)
    np.testing.assert_array_equal(classes[numbers], labels)
    assert set(np.unique(numbers)) | {0} == set(range(len(classes)))
    for start in np.ndindex(labels.shape):
        if labels[start] >= 0:
            assert flooded(labels, start) == set(map(tuple, np.argwhere(numbers == numbers[start]).tolist()))


def test_sums_over_regions() -> None:
    numbers = np.array([[1, 1, 0], [2, 1, 0]], np.int32)
    assert region_sums(numbers, None, 3).tolist() == [2, 3, 1]
    assert region_sums(numbers, np.array([1.0, 10.0]), 3).tolist() == [11, 12, 10]
    assert region_sums(numbers, np.arange(6.0).reshape(2, 3), 3).tolist() == [7, 5, 3]


def test_an_island_takes_the_class_around_it() -> None:
    labels = np.zeros((7, 9), np.int16)
    labels[:, 5:] = 1
    labels[3, 2] = 2  # amid class 0
    labels[3, 5:7] = 2  # three sides to class 1, one to class 0 ... and two more to class 1
    merged = merge_small(labels, smallest=3)
    expected = np.zeros((7, 9), np.int16)
    expected[:, 5:] = 1
    np.testing.assert_array_equal(merged, expected)
    np.testing.assert_array_equal(merge_small(labels, smallest=2)[3], [0, 0, 0, 0, 0, 2, 2, 1, 1])
    np.testing.assert_array_equal(merge_small(labels, smallest=1), labels)


def test_a_small_region_between_two_of_a_class_joins_them() -> None:
    """Both parts are too small alone, and large enough once the gap is theirs."""
    labels = np.array([[0, 0, 0, 1, 0, 0, 0]], np.int16)
    assert merge_small(labels, smallest=4).tolist() == [[0] * 7]


@pytest.mark.parametrize("smallest", [2, 5, 20, 1000])
def test_nothing_small_is_left_but_among_nothing(smallest: int) -> None:
    """Speckle, where each island's neighbours are islands themselves."""
    rng = np.random.default_rng(smallest)
    labels = rng.integers(0, 4, (40, 50)).astype(np.int16)
    labels[rng.random(labels.shape) < 0.15] = -1
    merged = merge_small(labels, smallest=smallest)
    np.testing.assert_array_equal(merged == -1, labels == -1)
    numbers, _ = find_regions(merged)
    sizes = np.bincount(numbers.ravel())
    padded = np.pad(merged, 1, constant_values=-1)
    for n in np.flatnonzero(sizes < smallest):
        if n:
            rows, columns = np.nonzero(numbers == n)
            around = {int(padded[r + 1 + dr, c + 1 + dc]) for r, c in zip(rows, columns, strict=True)
                      for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0))}  # fmt: skip
            assert around == {-1, int(merged[rows[0], columns[0]])} or around == {-1}
    np.testing.assert_array_equal(merge_small(merged, smallest=smallest), merged)


def test_sizes_may_be_areas() -> None:
    """The same island is 2 m2 in one row and 20 in another."""
    labels = np.zeros((4, 6), np.int16)
    labels[0, 2:4] = labels[3, 2:4] = 1
    merged = merge_small(labels, smallest=10, row_areas=np.array([1.0, 5.0, 5.0, 10.0]))
    assert merged[0].tolist() == [0] * 6
    assert merged[3].tolist() == [0, 0, 1, 1, 0, 0]
