"""The largest piece: of classes together, then of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hyperseg.medical.components import keep_largest, largest_component, n_pieces, without_small


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


def flooded(mask: np.ndarray) -> list[list[tuple[int, ...]]]:
    """Pieces of a mask by a flood from every pixel: the slow truth."""
    left, pieces = {tuple(map(int, at)) for at in np.argwhere(mask)}, []
    for start in sorted(left):
        if start not in left:
            continue
        left.discard(start)
        piece, waiting = [start], [start]
        while waiting:
            at = waiting.pop()
            for axis in range(len(at)):
                for step in (-1, 1):
                    to = (*at[:axis], at[axis] + step, *at[axis + 1 :])
                    if to in left:
                        left.discard(to)
                        piece.append(to)
                        waiting.append(to)
        pieces.append(piece)
    return pieces


def by_flood(labels: np.ndarray, keep: Callable[[list[list[tuple[int, ...]]]], list[list[tuple[int, ...]]]]) -> Any:
    """Every foreground class with the pieces that are kept of it alone."""
    found = np.where(labels > 0, 0, labels)
    for k in range(1, int(labels.max(initial=0)) + 1):
        for piece in keep(flooded(labels == k)):
            found[tuple(np.transpose(piece))] = k
    return found


@pytest.mark.parametrize("shape", [(8, 8), (5, 4, 4)])
def test_it_is_what_a_flood_finds(shape: tuple[int, ...]) -> None:
    for seed in range(60):
        labels = np.random.default_rng(seed).integers(-1, 4, shape).astype(np.int16)
        labels[labels == 3] = seed % 4
        for smallest in (1, 2, 4, 100):
            expected = by_flood(labels, lambda pieces, n=smallest: [p for p in pieces if len(p) >= n])
            assert (without_small(labels, smallest) == expected).all()
        largest = by_flood(labels, lambda pieces: [max(pieces, key=len)] if pieces else [])  # of equal ones the first
        assert (keep_largest(labels, ((1,), (2,), (3,))) == largest).all()


def test_small_pieces_go_once_and_nothing_is_added() -> None:
    for seed in range(40):
        labels = np.random.default_rng(seed).integers(-1, 4, (9, 9)).astype(np.int16)
        given = labels.copy()
        assert without_small(labels, 1) is labels
        once = without_small(labels, 4)
        assert (without_small(once, 4) == once).all()
        assert (once[once != labels] == 0).all()
        assert (labels[once != labels] > 0).all()
        assert (labels == given).all()
    assert (without_small(np.array([[1, 1, 0, 2]], np.int16), 2) == [[1, 1, 0, 0]]).all()
