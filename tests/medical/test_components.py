"""The largest piece: of classes together, then of one."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.medical.components import keep_largest, largest_component, n_pieces


def test_by_hand() -> None:
    labels = np.array([[1, 1, 0, 2, 0], [0, 2, 0, 2, 0], [2, 0, 0, 0, 0]], np.int16)
    together = np.array([[1, 1, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0]], np.int16)  # corners do not touch
    assert (keep_largest(labels, ((1, 2),)) == together).all()
    alone = np.array([[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 0]], np.int16)
    assert (keep_largest(labels, ((2,),)) == alone).all()
    assert keep_largest(labels, ()) is labels


@pytest.mark.parametrize(
    "parts", [((1, 2),), ((1,), (2,)), ((1, 2), (1,)), ((1, 2), (1,), (2,)), ((1, 2, 3), (1,), (2, 3))]
)
def test_twice_is_once_and_unlabelled_stays(parts: tuple[tuple[int, ...], ...]) -> None:
    for seed in range(40):
        labels = np.random.default_rng(seed).integers(-1, 4, (9, 9)).astype(np.int16)
        once = keep_largest(labels, parts)
        assert (keep_largest(once, parts) == once).all()
        assert ((once == -1) == (labels == -1)).all()
        assert set(np.unique(labels[once != labels])) <= {k for part in parts for k in part}
        for part in parts:
            assert n_pieces(np.isin(once, part)) <= 1


def test_what_is_cut_from_a_class_may_part_the_foreground() -> None:
    """The small piece of class 1 is the bridge between two of class 2: all that is done at once, in any order given."""
    labels = np.array([[1, 1, 2, 1, 2, 2]], np.int16)
    expected = np.array([[1, 1, 2, 0, 0, 0]], np.int16)
    assert (keep_largest(labels, ((1, 2), (1,))) == expected).all()
    assert (keep_largest(labels, ((1,), (1, 2))) == expected).all()


def test_nothing_and_one_piece() -> None:
    assert not largest_component(np.zeros((3, 3), bool)).any()
    assert largest_component(np.ones((3, 3), bool)).all()


def test_objects_are_looked_for_where_they_are_and_everywhere_alike() -> None:
    """Classes that lie apart, in a corner, or nowhere; the labels that were given stay."""
    rng = np.random.default_rng(1)
    labels = np.zeros((20, 21, 22), np.int16)
    for k, at in ((1, 2), (3, 12), (1, 14)):
        labels[at : at + 5, at : at + 5, at : at + 5] = np.where(rng.random((5, 5, 5)) < 0.4, k, 0)
    before = labels.copy()
    for parts in (((1, 2, 3),), ((1,), (2,), (3,)), ((3,), (1, 3))):
        expected = labels
        for part in parts:
            inside = np.isin(expected, part)
            expected = np.where(inside & ~largest_component(inside), 0, expected)
        assert (keep_largest(labels, parts) == expected).all()
    assert (labels == before).all()
