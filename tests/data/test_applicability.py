"""How unlike its training pixels a pixel is: the nearest of them by brute force, in any unit and any window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hyperseg.core import LabelError, Scene, SceneError, Split
from hyperseg.data.applicability import (
    AXES,
    Applicability,
    distances,
    fit_applicability,
    held_out_distances,
    largest_usual,
    map_applicability,
    square_means,
    thinned,
)
from hyperseg.data.splits import make_split
from hyperseg.simulated.scenes import toy_scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return toy_scene(shape=(40, 36), n_bands=16)


@pytest.fixture(scope="module")
def split(scene: Scene) -> Split:
    return make_split("random_per_class:40", scene.labels, scene.n_classes, seed=0)


@pytest.fixture(scope="module")
def known(scene: Scene, split: Split) -> Applicability:
    return fit_applicability(scene, split)


def test_it_is_the_distance_to_the_nearest_training_pixel(scene: Scene, split: Split, known: Applicability) -> None:
    """Written out for single pixels: squares averaged, whitened, along the axes and away from them."""
    cube, p = np.asarray(scene.cube, float), known.preprocess

    def sample(row: int, column: int) -> np.ndarray:
        square = cube[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].mean((0, 1))
        x = p.components @ ((square[p.keep] - p.mean) / p.std) - known.centre
        return np.append(known.axes @ x, np.linalg.norm(x - known.axes.T @ (known.axes @ x)))

    trained = [sample(*place) for place in np.argwhere(split.train)]
    layer = map_applicability(known, scene)
    for row, column in [(0, 0), (0, 17), (39, 35), (20, 20), (7, 31)]:
        least = min(np.linalg.norm(sample(row, column) - t) for t in trained)
        assert layer[row, column] == pytest.approx(least / known.threshold.item(), rel=1e-4, abs=1e-5)
    assert len(known.axes) == AXES
    among = [np.linalg.norm(a - b) for i, a in enumerate(trained) for b in trained[:i]]
    assert known.mean_distance.item() == pytest.approx(np.mean(among), rel=1e-5)
    assert known.index_limit == pytest.approx(known.threshold.item() / np.mean(among), rel=1e-5)


def test_training_pixels_are_known_and_far_ones_are_not(scene: Scene, split: Split, known: Applicability) -> None:
    assert (map_applicability(known, scene)[split.train] == 0).all()
    far = scene.with_(cube=np.asarray(scene.cube) * 3)
    assert (map_applicability(known, far) > 1).all()
    strange = np.asarray(scene.cube).copy()
    strange[5:8, 5:8] = strange[5:8, 5:8, ::-1] * 4
    layer = map_applicability(known, scene.with_(cube=strange))
    assert (layer[5:8, 5:8] > 1).all()
    np.testing.assert_array_equal(layer[10:], map_applicability(known, scene)[10:])


@pytest.mark.parametrize("change", [lambda x: 1e4 * x, lambda x: x * np.linspace(0.1, 9, 16), lambda x: x + 7])
def test_units_do_not_matter(
    scene: Scene, split: Split, known: Applicability, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Every band may have its own gain and offset, as long as training and mapping have the same."""
    other = scene.with_(cube=change(np.asarray(scene.cube, np.float64)))
    again = fit_applicability(other, split)
    np.testing.assert_allclose(map_applicability(again, other), map_applicability(known, scene), atol=2e-2)
    assert again.index_limit == pytest.approx(known.index_limit, rel=1e-2)


def test_windows_say_what_the_whole_scene_says(scene: Scene, known: Applicability) -> None:
    """Bit by bit, with holes in the scene, from blocks with one pixel around them."""
    cube, valid = np.asarray(scene.cube), np.random.default_rng(0).random(scene.shape) > 0.2
    whole = map_applicability(known, scene.with_(valid=valid))
    np.testing.assert_array_equal(np.isnan(whole), ~valid)
    for top in range(0, 40, 7):
        for left in range(0, 36, 11):
            first = max(top - 1, 0), max(left - 1, 0)
            at = slice(first[0], top + 8), slice(first[1], left + 12)
            found = known.over_threshold(cube[at], valid[at])[top - first[0] :, left - first[1] :][:7, :11]
            np.testing.assert_array_equal(found, whole[top : top + 7, left : left + 11])


def test_what_stands_in_a_hole_counts_nowhere(scene: Scene, split: Split) -> None:
    valid = ~((np.indices(scene.shape)[0] % 5 == 2) & ~split.train & ~split.test & ~split.val)
    valid[3:6, 3:6] = False
    split = replace(split, train=split.train & valid, test=split.test & valid, val=split.val & valid)
    layers = []
    for filling in (0.0, 1e9, np.nan):
        cube = np.asarray(scene.cube, np.float32).copy()
        cube[~valid] = filling
        holed = scene.with_(cube=cube, valid=valid)
        layers.append(map_applicability(fit_applicability(holed, split), holed))
    np.testing.assert_array_equal(layers[0], layers[1])
    np.testing.assert_array_equal(layers[0], layers[2])
    nothing = scene.with_(valid=np.zeros(scene.shape, bool))
    assert np.isnan(map_applicability(fit_applicability(scene, split), nothing)).all()


def test_it_is_stored(scene: Scene, known: Applicability) -> None:
    again = Applicability.from_arrays(known.to_arrays())
    np.testing.assert_array_equal(map_applicability(again, scene), map_applicability(known, scene))
    assert Applicability.from_arrays({}) is None
    with pytest.raises(SceneError, match="samples"):
        Applicability.from_arrays({k: v for k, v in known.to_arrays().items() if k != "samples"})


def test_held_out_by_fold_and_without_overlap() -> None:
    """On a line: the nearest of another fold whose square of 3 x 3 does not touch one's own."""
    values = np.array([[0.0], [1.0], [3.0], [7.0]])
    places = np.array([[0, 0], [0, 2], [0, 3], [0, 9]])
    fold = np.array([0, 1, 0, 1])
    found = held_out_distances(distances(values, values), fold, places)
    np.testing.assert_allclose(found, [7, 4, 4])  # 2 is nearest to 1, but their squares overlap


def test_the_threshold_leaves_outliers_out() -> None:
    assert largest_usual(np.array([1.0, 2, 3, 4, 5, 100])) == 5
    assert largest_usual(np.arange(9.0)) == 8
    assert largest_usual(np.ones(4)) == 1


def test_many_training_pixels_are_thinned_fairly() -> None:
    labels = np.repeat(np.array([0, 1, 2], np.int16), (3000, 900, 40)).reshape(-1, 20)
    train = np.ones(labels.shape, bool)
    chosen = thinned(labels, train, 1000)
    assert np.bincount(labels[chosen]).tolist() == [480, 480, 40]
    np.testing.assert_array_equal(thinned(labels, train, 10**6), train)
    assert np.ptp(np.flatnonzero(chosen & (labels == 0))) == 2999


def test_distances_by_brute_force() -> None:
    random = np.random.default_rng(0)
    points, samples = random.normal(size=(700, 5)), random.normal(size=(30, 5))
    expected = np.linalg.norm(points[:, None] - samples, axis=-1)
    np.testing.assert_allclose(distances(points, samples), expected, atol=1e-9)
    values, valid = random.normal(size=(4, 5, 2)), random.random((4, 5)) > 0.4
    padded, there = np.pad(values * valid[..., None], ((1, 1), (1, 1), (0, 0))), np.pad(valid, 1)
    for i, j in np.argwhere(valid):
        mean = padded[i : i + 3, j : j + 3].sum((0, 1)) / there[i : i + 3, j : j + 3].sum()
        np.testing.assert_allclose(square_means(values, valid)[i, j], mean)


def test_what_cannot_be_told_is_said(scene: Scene, split: Split) -> None:
    few = np.zeros(scene.shape, bool)
    few.reshape(-1)[np.flatnonzero(split.train)[:9]] = True
    with pytest.raises(LabelError, match="9 training pixels are too few to tell, at least 10"):
        fit_applicability(scene, replace(split, train=few))
    close = np.zeros(scene.shape, bool)
    close[10:13, 10:14] = True
    labels = np.zeros(scene.shape, np.int16)
    with pytest.raises(LabelError, match="lie too close together"):
        fit_applicability(scene.with_(labels=labels), Split(close, ~close, close & False, how="x", seed=0))
    classes = (np.indices(scene.shape)[1] // 12).astype(np.int16)
    copies = scene.with_(cube=np.eye(3)[classes], labels=classes, wavelengths_nm=None, good_bands=None)
    deep = np.indices(scene.shape)[1] % 12 == 6
    with pytest.raises(LabelError, match="copies of each other"):
        fit_applicability(copies, Split(deep, deep & False, ~deep, how="x", seed=0))
