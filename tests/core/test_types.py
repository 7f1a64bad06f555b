"""Scenes, splits and maps refuse what does not fit together, and say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperseg.core import LabelError, Scene, SceneError, SegmentationMap, Split, SplitError
from hyperseg.core.split import Mask


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


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"cube": cube((4, 5))}, SceneError, "rows, columns, bands"),
        ({"cube": cube((1, 2, 3, 4, 5))}, SceneError, "rows, columns, bands"),
        ({"cube": cube((0, 5, 6))}, SceneError, "holds no value"),
        ({"labels": np.zeros((5, 4), np.int16)}, LabelError, "transposed: swap rows and columns"),
        ({"labels": np.full((4, 5), 2, np.int16)}, LabelError, "run from 2 to 2, but there are 2 class names"),
        ({"labels": np.full((4, 5), -2, np.int16)}, LabelError, "run from -2 to -2"),
        ({"labels": np.zeros((4, 5), np.uint8)}, LabelError, "must be int16"),
        ({"wavelengths_nm": np.arange(5.0)}, SceneError, "5 wavelengths for a cube of 6 bands"),
        ({}, LabelError, "has no labels"),
    ],
)
def test_a_scene_refuses_what_does_not_fit(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Scene(**{"cube": cube(), "classes": ("a", "b")} | given).labelled()


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (mask((0, 0)), mask((0, 0)), "1 pixels are in both train and test"),
        (mask().astype(int), mask(), "must be bool"),
        (mask()[:2], mask(), "differ in shape"),
    ],
)
def test_split_parts_must_be_disjoint_bool_and_of_one_shape(train: Mask, test: Mask, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        Split(train, mask(), test, how="by hand", seed=0)


def test_split_counts_per_class() -> None:
    labels = np.full((4, 5), -1, np.int16)
    labels[0] = [0, 0, 1, 1, 1]
    split = Split(mask((0, 0)), mask((0, 1)), mask((0, 2), (0, 3), (3, 3)), how="by hand", seed=0)
    assert split.counts(labels, 2).tolist() == [[1, 0], [1, 0], [0, 2]]


def test_a_map_knows_its_classes_where_there_is_data_and_how_sure_it_is() -> None:
    probs = np.array([[[1, 0, 0], [0.1, 0.2, 0.7], [1 / 3] * 3]], np.float32)
    made = SegmentationMap(
        probs, tuple("abc"), ((0, 0, 0),) * 3, made_by=("net",), valid=np.array([[True, True, False]])
    )
    assert made.labels().tolist() == [[0, 2, -1]]
    np.testing.assert_allclose(made.confidence(), [[1, 0.7, 1 / 3]])
    np.testing.assert_allclose(made.entropy()[:, ::2], [[0.0, np.log(3)]], atol=1e-6)  # from zero to log K
    assert made.refined(made.probs, "crf").made_by == ("net", "crf")
    with pytest.raises(SceneError, match="3 channels cannot carry 1 class"):
        SegmentationMap(probs, ("a",), ((0, 0, 0),))


def test_a_scene_prints_in_a_few_words() -> None:
    scene = Scene(np.zeros((40, 30, 200), np.float32), name="field")
    assert repr(scene) == "Scene('field', 40 x 30 pixels, 200 bands of float32, no labels)"
    labels = np.zeros((40, 30), np.int16)
    assert "2 classes" in str(scene.with_(labels=labels, classes=("a", "b"), colours=((0, 0, 0), (1, 1, 1))))
