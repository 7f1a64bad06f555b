"""Patches at random places: whole, apart, equally likely; what they lack is said."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from hyperseg.core import Split, SplitError
from hyperseg.data.splits import SPLITS

nalepa = SPLITS["nalepa"]


def stripes(shape: tuple[int, int] = (60, 80), n: int = 4, width: int = 2) -> NDArray[np.int16]:
    """Every pixel labelled, so that every patch has all classes."""
    return (np.indices(shape)[1] // width % n).astype(np.int16)


def patches(split: Split) -> tuple[int, int]:
    """How many train and validate, as the note says."""
    found = re.search(r"(\d+) patch(?:es)? trains?, (\d+) validates?", split.note)
    assert found
    return int(found[1]), int(found[2])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rows", "columns"), [(5, 9), (8, 8), (1, 12)])
def test_patches_are_whole_and_apart_and_hold_their_share(seed: int, rows: int, columns: int) -> None:
    labels, size = stripes(), rows * columns
    split = nalepa(labels, 4, rows=rows, columns=columns, fraction=0.2, seed=seed)
    training, validating = patches(split)
    assert (split.train.sum(), split.val.sum()) == (training * size, validating * size)
    assert 0.2 * labels.size <= (training + validating) * size < 0.2 * labels.size + size
    assert validating == max(1, round(0.1 * (training + validating)))
    assert np.array_equal(split.test, ~split.train & ~split.val)
    columns_of = split.train | split.val
    padded = np.pad(columns_of.astype(np.int8), 1)
    corners = np.abs(padded[1:, 1:] + padded[:-1, :-1] - padded[1:, :-1] - padded[:-1, 1:]) > 0
    assert 0 < corners.sum() <= 4 * (training + validating), "a union of that many rectangles has no more corners"


def test_every_place_is_equally_likely() -> None:
    """One patch of 3 in a line of 10 pixels: each of its 8 places in an eighth of 800 draws."""
    labels = (np.arange(10) % 2).astype(np.int16)[None]
    first = np.zeros(8, int)
    for seed in range(800):
        split = nalepa(labels, 2, rows=5, columns=3, fraction=0.01, val=0, seed=seed)
        assert split.train.sum() == 3
        first[split.train.ravel().argmax()] += 1
    assert np.all(np.abs(first - 100) < 4 * np.sqrt(800 * (1 / 8) * (7 / 8)))


@pytest.mark.parametrize("guard", [0, 1, 4])
def test_the_guard_is_kept_and_drops_nothing_else(guard: int) -> None:
    labels = stripes()
    labels[20:30] = -1
    split = nalepa(labels, 4, guard=guard, seed=3)
    side = split.train | split.val
    beyond = distance_transform_cdt(~side, "chessboard") > guard
    assert np.array_equal(split.test, (labels >= 0) & ~side & beyond)
    dropped = np.count_nonzero((labels >= 0) & ~side & ~split.test)
    assert (f"the guard dropped {dropped} pixels" in split.note) == (guard > 0)
    assert split.guard_px == guard


def test_classes_that_never_trained_are_counted() -> None:
    labels = stripes((60, 80), 2)
    labels[:2, :2], labels[-2:, -2:] = 2, 3
    for seed in range(6):
        split = nalepa(labels, 5, rows=6, columns=6, fraction=0.1, seed=seed)
        lacking = [k for k in split.untrainable if k != 4]  # 4 has no label anywhere
        share = 100 * np.isin(labels[split.test], lacking).mean()
        said = f"{len(lacking)} of 4 classes never trained: {share:.1f} % of the test pixels cannot be right"
        assert (said in split.note) == bool(lacking)
        assert ("never trained" in split.note) == bool(lacking)


def test_patches_without_a_label_are_not_drawn() -> None:
    labels = np.full((200, 200), -1, np.int16)
    labels[40:60, 40:60] = stripes((20, 20), 2)
    split = nalepa(labels, 2, rows=5, columns=5, fraction=0.3, seed=0)
    assert sum(patches(split)) < 40


def test_refusals() -> None:
    with pytest.raises(SplitError, match="12 x 12 pixels hold all labels"):  # the patch ends with the scene
        nalepa(stripes((10, 10), 2), 2, seed=0)
    with pytest.raises(SplitError, match="another split"):
        nalepa(np.zeros((3, 4, 5), np.int16), 2, seed=0)
