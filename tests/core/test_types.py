"""Scenes, splits and maps refuse what does not fit together, and say what to do."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import LabelError, Scene, SceneError, SegmentationMap, Split, SplitError


def cube(shape: tuple[int, ...] = (4, 5, 6)) -> np.ndarray:
    return np.zeros(shape, np.float32)


def mask(*pixels: tuple[int, int]) -> np.ndarray:
    out = np.zeros((4, 5), bool)
    for p in pixels:
        out[p] = True
    return out


def test_a_scene_knows_its_size_and_counts_its_labels() -> None:
    labels = np.full((4, 5), -1, np.int16)
    labels[0], labels[1, :2] = 0, 1
    valid = np.ones((4, 5), bool)
    valid[0, 0] = False
    scene = Scene(cube(), labels, valid, classes=("a", "b"))
    assert (scene.shape, scene.n_bands, scene.n_classes) == ((4, 5), 6, 2)
    assert scene.class_counts().tolist() == [4, 2]  # a label without data does not count


@pytest.mark.parametrize("shape", [(4, 5), (1, 2, 3, 4, 5)])
def test_an_array_that_is_no_cube_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SceneError, match="rows, columns, bands"):
        Scene(cube(shape))


def test_transposed_labels_are_recognised() -> None:
    with pytest.raises(LabelError, match="transposed: swap rows and columns"):
        Scene(cube(), np.zeros((5, 4), np.int16), classes=("a",))


@pytest.mark.parametrize(("value", "dtype"), [(2, np.int16), (-2, np.int16), (0, np.uint8)])
def test_labels_outside_the_classes_or_of_another_type_are_refused(value: int, dtype: type) -> None:
    with pytest.raises(LabelError):
        Scene(cube(), np.full((4, 5), value, dtype), classes=("a", "b"))


def test_band_lists_of_another_length_are_refused() -> None:
    with pytest.raises(SceneError, match="5 wavelengths for a cube of 6 bands"):
        Scene(cube(), wavelengths_nm=np.arange(5.0))


def test_a_scene_without_labels_says_so() -> None:
    with pytest.raises(LabelError, match="has no labels"):
        Scene(cube()).labelled()


def test_split_parts_must_be_disjoint_bool_and_of_one_shape() -> None:
    Split(mask((0, 0)), mask((0, 1)), mask((0, 2)), how="by hand", seed=0)
    with pytest.raises(SplitError, match="1 pixels are in both train and test"):
        Split(mask((0, 0)), mask(), mask((0, 0)), how="by hand", seed=0)
    with pytest.raises(SplitError, match="must be bool"):
        Split(mask().astype(int), mask(), mask(), how="by hand", seed=0)
    with pytest.raises(SplitError, match="differ in shape"):
        Split(mask()[:2], mask(), mask(), how="by hand", seed=0)


def test_split_counts_per_class() -> None:
    labels = np.full((4, 5), -1, np.int16)
    labels[0] = [0, 0, 1, 1, 1]
    split = Split(mask((0, 0)), mask((0, 1)), mask((0, 2), (0, 3), (3, 3)), how="by hand", seed=0)
    assert split.counts(labels, 2).tolist() == [[1, 0], [1, 0], [0, 2]]


def test_a_map_takes_the_most_probable_class_and_leaves_no_data_out() -> None:
    probs = np.array([[[0.7, 0.3], [0.2, 0.8]]], np.float32)
    made = SegmentationMap(probs, ("a", "b"), ((0, 0, 0),) * 2, valid=np.array([[True, False]]))
    assert made.labels().tolist() == [[0, -1]]
    np.testing.assert_allclose(made.confidence(), [[0.7, 0.8]])


def test_entropy_runs_from_zero_to_log_k() -> None:
    probs = np.array([[[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]], np.float32)
    made = SegmentationMap(probs, ("a", "b", "c"), ((0, 0, 0),) * 3)
    np.testing.assert_allclose(made.entropy(), [[0.0, np.log(3)]], atol=1e-6)


def test_refining_appends_to_the_chain() -> None:
    made = SegmentationMap(np.ones((1, 1, 1), np.float32), ("a",), ((0, 0, 0),), made_by=("net",))
    assert made.refined(made.probs, "crf").made_by == ("net", "crf")
    with pytest.raises(SceneError, match="2 channels cannot carry 1 class"):
        SegmentationMap(np.ones((1, 1, 2), np.float32), ("a",), ((0, 0, 0),))
