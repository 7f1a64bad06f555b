"""Distances to the nearest sample in float32: those in float64, written out pixel by pixel, on any device."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.data.applicability import Applicability
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine.lanes import in_order

BANDS, AXES, SAMPLES = 23, 4, 700
RANDOM = np.random.default_rng(0)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
WHERE = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def features(known: Applicability, cube: np.ndarray, valid: np.ndarray, row: int, column: int) -> np.ndarray:
    """Of one pixel, in float64."""
    at = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    p = known.preprocess
    x = p.components @ ((cube[at][valid[at]][:, p.keep].astype(float) - p.mean) / p.std).mean(0) - known.centre
    return np.append(known.axes @ x, np.linalg.norm(x - known.axes.T @ (known.axes @ x)))


@pytest.fixture(scope="module")
def cube() -> np.ndarray:
    """(19, 70, BANDS) uint16."""
    return np.asarray(RANDOM.integers(0, 4000, (19, 70, BANDS)), np.uint16)


@pytest.fixture(scope="module")
def known(cube: np.ndarray) -> Applicability:
    """Samples close to pixels of the cube: one is a pixel itself, others are very near one, others far from all."""
    keep = np.arange(BANDS) != 5
    n = BANDS - 1
    whitening = (np.eye(n) + 0.1 * RANDOM.normal(size=(n, n))).astype(np.float32)
    preprocess = Preprocess(keep, np.full(n, 2000, np.float32), np.full(n, 1000, np.float32), whitening)
    axes = np.linalg.qr(RANDOM.normal(size=(n, AXES)))[0].T
    made = Applicability(preprocess, axes, RANDOM.normal(size=n), np.ones((1, AXES + 1)), *[np.ones(1)] * 3)
    valid = np.ones(cube.shape[:2], bool)
    own = np.stack([features(made, cube, valid, 3, column) for column in range(60)])
    own[1:30] += 1e-4 * RANDOM.normal(size=own[1:30].shape)
    samples = np.concatenate([own, 3 * RANDOM.normal(size=(SAMPLES - 60, AXES + 1))])
    return Applicability(preprocess, axes, made.centre, samples, np.array([0.5]), np.ones(1), np.ones(1))


@pytest.mark.parametrize("device", WHERE)
@pytest.mark.parametrize("kind", ["uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_brute_force(known: Applicability, cube: np.ndarray, device: str, kind: str, holes: float) -> None:
    valid = RANDOM.random(cube.shape[:2]) >= holes
    given = cube.astype(kind)
    if given.dtype.kind == "f":
        given[~valid] = np.nan
    made = known.over_threshold(given, valid, device=device)
    np.testing.assert_array_equal(np.isnan(made), ~valid)
    for row, column in np.argwhere(valid)[:: 7 if holes else 11]:
        least = np.linalg.norm(features(known, cube, valid, row, column) - known.samples, axis=1).min()
        assert made[row, column] == pytest.approx(least / 0.5, rel=1e-4, abs=2e-5)


def test_a_sample_is_at_no_distance_from_itself(known: Applicability, cube: np.ndarray) -> None:
    made = known.over_threshold(cube, np.ones(cube.shape[:2], bool))
    assert made[3, 0] == 0
    assert (made[3, 30:60] == 0).all()
    assert (made[3, 1:30] > 0).all()
    assert (made[3, 1:30] < 3e-3).all()


def test_strips_in_any_number_and_order_of_threads(
    known: Applicability, cube: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = RANDOM.random(cube.shape[:2]) > 0.1
    whole = known.over_threshold(cube, valid)
    monkeypatch.setattr("hyperseg.data.applicability.STRIP_BYTES", 4 * 70 * (BANDS - 1) * 3)
    for each in (map, partial(in_order, lanes=3)):
        made = known.over_threshold(cube, valid, each=each)  # type: ignore[arg-type]
        np.testing.assert_array_equal(made, whole)


def test_the_layout_in_memory_does_not_matter(known: Applicability, cube: np.ndarray) -> None:
    """Lines of bands, as in most files, and whole bands one after the other."""
    valid, whole = np.ones(cube.shape[:2], bool), known.over_threshold(cube, np.ones(cube.shape[:2], bool))
    for order in ((0, 2, 1), (2, 0, 1)):
        stored: Any = np.ascontiguousarray(cube.transpose(order)).transpose(np.argsort(order))
        np.testing.assert_array_equal(known.over_threshold(stored, valid), whole)


def test_nothing_of_torch_is_changed(known: Applicability, cube: np.ndarray) -> None:
    before = torch.get_num_threads(), torch.is_inference_mode_enabled()
    known.over_threshold(cube, np.ones(cube.shape[:2], bool), each=partial(in_order, lanes=2))
    assert (torch.get_num_threads(), torch.is_inference_mode_enabled()) == before
