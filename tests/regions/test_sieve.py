"""Pieces of a map below a limit, given to what is around them: by hand, by a flood, and once for all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from hyperseg.regions.sieve import exchanged, sieved


def test_by_hand() -> None:
    labels = np.array([[0, 0, 0, 1, 1], [0, 2, 0, 1, 1], [0, 0, 0, 3, 1], [0, 0, 0, 1, 1]], np.int16)
    expected = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]], np.int16)
    assert (sieved(labels, 2) == expected).all()
    even = np.array([[0, 0, 2, 1, 1]], np.int16)  # a face of each: the first class takes it
    assert (sieved(even, 2) == [[0, 0, 0, 1, 1]]).all()


def test_a_crowd_is_reached_round_by_round_and_islands_stay() -> None:
    crowd = np.array([[0, 0, 0, 1, 2, 1, 2]], np.int16)
    assert (sieved(crowd, 3) == 0).all()
    island = np.array([[0, 0, 0, -1, 2, 1, -1]], np.int16)
    assert (sieved(island, 3) == island).all()
    small = np.array([[0, 1, 2]], np.int16)
    assert (sieved(small, 2) == small).all()  # nobody is large enough to take


def smallest_piece(labels: np.ndarray) -> int:
    return min(
        int(np.bincount(label(labels == k)[0].ravel())[1:].min()) for k in np.unique(labels[labels >= 0])
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4), (40,)])
def test_no_small_piece_is_left_and_twice_is_once(shape: tuple[int, ...]) -> None:
    for seed in range(40):
        labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.int16)
        labels.flat[:5] = 1  # something large is there, and all pixels are connected
        assert (sieved(labels, 1) == labels).all()
        once = sieved(labels, 4 if len(shape) > 1 else 5)
        assert smallest_piece(once) >= 4
        assert (sieved(once, 4) == once).all()
        holes = np.where(np.random.default_rng(seed + 100).random(shape) < 0.2, -1, labels).astype(np.int16)
        once = sieved(holes, 4)
        assert ((once < 0) == (holes < 0)).all()
        assert (sieved(once, 4) == once).all()


def one_round(labels: np.ndarray, smallest: int) -> np.ndarray:
    """Piece by piece, face by face: what pieces that touch a large one become in the first round."""
    pieces, large, found = np.zeros(labels.shape, int), [True], labels.copy()
    for k in np.unique(labels):
        numbers, n = label(labels == k)
        pieces[numbers > 0] = numbers[numbers > 0] + len(large) - 1
        large += [int((numbers == i).sum()) >= smallest for i in range(1, n + 1)]
    for i in range(1, len(large)):
        if large[i]:
            continue
        votes = np.zeros(int(labels.max()) + 1, int)
        for r, c in np.argwhere(pieces == i):
            for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
                if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and pieces[y, x] != i and large[pieces[y, x]]:
                    votes[labels[y, x]] += 1
        if votes.any():
            found[pieces == i] = votes.argmax()
    return found


def test_the_first_round_is_what_counting_faces_says() -> None:
    """Of maps in which every small piece touches a large one there is no other round."""
    met = 0
    for seed in range(60):
        labels = np.random.default_rng(seed).integers(0, 2, (4, 4)).repeat(2, 0).repeat(2, 1).astype(np.int16)
        spots = np.random.default_rng(seed + 7).random((8, 8)) < 0.12
        labels[spots] = 2
        expected = one_round(labels, 4)
        if (one_round(expected, 4) == expected).all():
            met += 1
            assert (sieved(labels, 4) == expected).all()
    assert met > 30


def test_sizes_may_be_areas() -> None:
    """Pixels of the first row are twice as large as those of the others."""
    labels = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]], np.int16)
    rows = np.array([[2.0], [1.0], [1.0]])
    assert (sieved(labels, 2, rows) == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).all()
    assert (sieved(labels, 2, np.ones((3, 1))) == 0).all()


@pytest.mark.parametrize(
    "probs", [(0.4, 0.4, 0.2), (0.4, 0.2, 0.4), (0.5, 0.3, 0.2), (1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0)]
)
@pytest.mark.parametrize("after", [1, 2])
def test_the_new_class_is_the_most_probable_one_also_beside_a_third(probs: tuple[float, ...], after: int) -> None:
    given = np.array([probs], np.float32)
    found = exchanged(given, np.array([0], np.int16), np.array([after], np.int16))
    assert found[0].argmax() == after
    assert (found[0] == found[0].max()).sum() == 1
    expected = given[0].copy()
    expected[[0, after]] = expected[[after, 0]]
    np.testing.assert_allclose(found[0], expected, atol=1e-7)
