"""Folds matched in distance: what the note says, limits, what no data and seeds do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import distance_transform_edt
from scipy.stats import wasserstein_distance

from hyperseg.core import Split, SplitError
from hyperseg.data.splits import SPLITS
from hyperseg.data.splits.nearest import wasserstein

knndm = SPLITS["knndm"]
Labels = NDArray[np.int16]


def clumps(side: int = 5, every: int = 20, n: int = 4) -> Labels:
    """n x n squares of `side` pixels, one every so many pixels; two classes in turn."""
    row, column = np.indices((n * every, n * every))
    inside = (row % every < side) & (column % every < side)
    return np.where(inside, (row // every + column // every) % 2, -1).astype(np.int16)


def to_train(split: Split) -> NDArray[np.float64]:
    """Distance of every pixel to the nearest training pixel."""
    return np.asarray(distance_transform_edt(~split.train))


def to_labels(labels: Labels) -> NDArray[np.float64]:
    return np.asarray(distance_transform_edt(labels < 0))


def stated(split: Split) -> float:
    found = re.search(r"Wasserstein distance between the two ([\d.]+) px", split.note)
    assert found
    return float(found[1])


@pytest.mark.parametrize("sizes", [(1, 1), (7, 30), (400, 23)])
def test_the_wasserstein_distance_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = (np.round(rng.gamma(2, 3, n), 1) for n in sizes)
    np.testing.assert_allclose(wasserstein(a, b), wasserstein_distance(a, b))
    assert wasserstein(a, a) == 0
    np.testing.assert_allclose(wasserstein(a, a + 2.5), 2.5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("to", ["all", "unlabelled"])
def test_the_note_gives_the_distance_between_test_and_map(seed: int, to: str) -> None:
    labels = clumps()
    split = knndm(labels, 2, seed=seed, to=to)
    wanted = to_labels(labels)[(labels < 0) | (to == "all")]
    reached = to_train(split)[split.test]
    assert abs(stated(split) - wasserstein_distance(reached, wanted)) < 0.006
    assert f"{reached.mean():.1f} px away" in split.note
    assert f"{wanted.mean():.1f} px (means)" in split.note


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_nearer_to_the_map_than_random_pixels(seed: int) -> None:
    """Labels in clumps, the map far beyond them: random test pixels have neighbours that train."""
    labels = clumps(side=20, every=40, n=3)
    wanted = to_labels(labels)[labels < 0]
    random = SPLITS["random_fraction"](labels, 2, fraction=0.7, seed=seed)
    beside = wasserstein(to_train(random)[random.test], wanted)
    assert stated(knndm(labels, 2, seed=seed, to="unlabelled", val=0)) < 0.75 * beside


def test_labels_spread_like_the_map_are_dealt_pixel_by_pixel() -> None:
    """A label at every fourth pixel: no test pixel can be nearer than 4, and larger clusters would be farther."""
    labels = np.full((60, 60), -1, np.int16)
    labels[::4, ::4] = np.random.default_rng(0).integers(0, 2, (15, 15))
    for seed in range(5):
        split = knndm(labels, 2, seed=seed, val=0)
        assert re.search(r"with 225 single pixels in 5 folds", split.note)
        assert np.median(to_train(split)[split.test]) == 4


@pytest.mark.parametrize("k", [2, 3, 5])
def test_k_seeds_are_one_cross_validation_and_the_next_k_another(k: int) -> None:
    labels = clumps(side=6, every=12, n=6)
    first, second = ([knndm(labels, 2, k=k, val=0, seed=turn * k + i) for i in range(k)] for turn in (0, 1))
    for folds in (first, second):
        assert np.array_equal(np.sum([split.test for split in folds], 0), (labels >= 0).astype(int))
        for split in folds:
            assert np.array_equal(split.train, (labels >= 0) & ~split.test)
            assert split.test.sum() <= 0.75 * (labels >= 0).sum()
    assert not any(np.array_equal(a.test, b.test) for a in first for b in second)


def test_ground_without_data_is_no_part_of_the_map() -> None:
    """Rows of no data below, whatever is labelled there: the split is that of the scene without them."""
    labels = clumps()
    more = np.concatenate([labels, np.full((60, labels.shape[1]), -1, np.int16)])
    more[100:110, 10:20] = 1
    valid = np.arange(len(more))[:, None] < len(labels) + np.zeros((1, labels.shape[1]), int)
    small, large = knndm(labels, 2, seed=1), knndm(more, 2, seed=1, valid=valid)
    assert small.note == large.note
    for part in ("train", "val", "test"):
        assert np.array_equal(getattr(small, part), getattr(large, part)[: len(labels)])
        assert not getattr(large, part)[len(labels) :].any()


def test_no_data_moves_the_map_nearer_to_its_labels() -> None:
    labels = clumps()
    near = to_labels(labels) < 3
    mean = to_labels(labels)[near].mean()
    assert f"a pixel of the map {mean:.1f} px" in knndm(labels, 2, seed=0, valid=near).note


def test_validation_is_held_out_of_the_training_side() -> None:
    labels = clumps(side=6, every=12, n=6)
    for seed in range(5):
        held, plain = (knndm(labels, 2, seed=seed, val=val) for val in (0.2, 0))
        assert np.array_equal(held.test, plain.test)
        assert np.array_equal(held.train | held.val, plain.train)
        assert held.val.any()
        assert held.untrainable == plain.untrainable


def test_a_mismatch_is_said_with_its_direction() -> None:
    """All labels in one corner: whatever is tested there lies nearer than the map."""
    labels = np.full((200, 200), -1, np.int16)
    labels[:8, :8] = np.arange(8) % 2
    assert "test pixels lie nearer: accuracies read too high for the map" in knndm(labels, 2, seed=0).note
    full = (np.indices((40, 40)).sum(0) // 4 % 2).astype(np.int16)
    assert "farther: accuracies read too low" in knndm(full, 2, seed=0).note


def test_more_labels_than_are_clustered_and_looked_at() -> None:
    labels = clumps(side=30, every=40, n=5)  # 22 500 labelled pixels
    split = knndm(labels, 2, seed=2)
    assert np.array_equal(split.train | split.val | split.test, labels >= 0)
    reached, wanted = to_train(split)[split.test], to_labels(labels).ravel()
    assert abs(stated(split) - wasserstein_distance(reached, wanted)) < 0.1


@pytest.mark.parametrize("n", [6, 7, 9, 12])
def test_few_labels_leave_no_fold_empty(n: int) -> None:
    rng = np.random.default_rng(n)
    for seed in range(15):
        labels = np.full(400, -1, np.int16)
        labels[rng.choice(400, n, replace=False)] = np.arange(n) % 2
        split = knndm(labels.reshape(20, 20), 2, seed=seed, val=0)
        assert split.test.any()
        assert split.train.sum() + split.test.sum() == n


@pytest.mark.shared_data
def test_indian_pines_is_matched(shared_data: Path) -> None:
    """Half of it lies on a label and the rest up to 31 px off: clusters of one size leave 2.3 px and more."""
    labels = loadmat(shared_data / "hsi" / "indian_pines" / "Indian_pines_gt.mat")["indian_pines_gt"]
    found = [knndm(labels.astype(np.int16) - 1, 16, seed=seed) for seed in range(5)]
    assert all("a pixel of the map 3.3 px" in split.note for split in found)
    assert np.mean([stated(split) for split in found]) < 1.6


def test_refusals() -> None:
    full = np.zeros((10, 10), np.int16)
    full[5:] = 1
    with pytest.raises(SplitError, match="every pixel is labelled"):
        knndm(full, 2, seed=0, to="unlabelled")
    few = np.full((10, 10), -1, np.int16)
    few[0, :3] = 0, 1, 1
    with pytest.raises(SplitError, match="3 labelled pixels cannot be dealt to 5 folds"):
        knndm(few, 2, seed=0)
    line = knndm(np.tile(np.array([0, 1, -1, -1], np.int16), 50)[None], 2, seed=0)
    assert line.test.any()
