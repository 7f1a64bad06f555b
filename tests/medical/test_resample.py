"""Resampling is SciPy's, keeps labels there and back, and treats a coarse axis by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from hyperseg.core import SettingError
from hyperseg.medical.resample import neighbours, orders_of, resample, resample_labels, resampled_size
from hyperseg.medical.training import MSD2018, V2

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("size", [(7, 9, 8), (14, 5, 8), (3, 20, 11), (1, 1, 1)])
def test_it_is_the_zoom_of_scipy(order: int, size: tuple[int, ...]) -> None:
    values = RNG.normal(size=(2, 7, 9, 8)).astype(np.float32)
    factors = [n / old for n, old in zip(size, values.shape[1:], strict=True)]
    expected = np.stack([zoom(v, factors, order=order, mode="nearest", grid_mode=True) for v in values])
    if order == 3:
        low, high = values.min((1, 2, 3), keepdims=True), values.max((1, 2, 3), keepdims=True)
        expected = np.clip(expected, low, high)
    if order == 0 and size == (14, 5, 8):
        expected = values[:, np.repeat(np.arange(7), 2)][:, :, [0, 2, 4, 6, 8]]  # centres of voxels, without doubt
    found = resample(torch.from_numpy(values), size, (order,) * 3).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_equal_sizes_change_nothing() -> None:
    values = torch.randn(2, 4, 5)
    assert resample(values, (4, 5), (3, 3)) is values
    labels = np.zeros((4, 5), np.int16)
    assert resample_labels(labels, (4, 5), (1, 1)) is labels


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("order", [0, 1])
def test_labels_go_there_and_back_at_whole_factors(factor: int, order: int) -> None:
    labels = RNG.integers(-1, 4, (6, 5, 7)).astype(np.int16)
    fine = tuple(factor * n for n in labels.shape)
    up = resample_labels(labels, fine, (0,) * 3)
    assert (up == labels.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)).all()
    assert (resample_labels(up, labels.shape, (order,) * 3) == labels).all()
    solid = np.kron(labels, np.ones((3, 3, 3), np.int16))
    up = resample_labels(solid, tuple(factor * n for n in solid.shape), (order,) * 3)
    assert (resample_labels(up, solid.shape, (order,) * 3) == solid).mean() > 0.98


def test_labels_are_the_argmax_of_their_classes() -> None:
    labels = RNG.integers(-1, 3, (6, 7)).astype(np.int16)
    size = (9, 4)
    shares = [zoom((labels == k).astype(float), (9 / 6, 4 / 7), order=1, mode="nearest", grid_mode=True)
              for k in (-1, 0, 1, 2)]  # fmt: skip
    largest = np.max(shares, 0)
    found = resample_labels(labels, size, (1, 1))
    assert all(abs(shares[found[i] + 1][i] - largest[i]) < 1e-6 for i in np.ndindex(size))


def test_a_coarse_axis_has_its_own_order() -> None:
    splines = V2.resampling
    assert orders_of((1, 1, 1), (1, 2, 1), 3, splines) == (3, 3, 3)
    assert orders_of((5, 1, 1), (4, 1, 1), 3, splines) == (0, 3, 3)
    assert orders_of((1, 1, 1), (4, 1, 1), 3, splines) == (0, 3, 3)
    assert orders_of((1, 5, 1), (4, 1, 1), 3, splines) == (3, 0, 3)  # the case's own comes first
    assert orders_of((1, 5, 5), (1, 1, 1), 3, splines) == (3, 3, 3)  # two coarse ones
    assert orders_of((5, 1), (1, 1), 3, splines) == (3, 3)
    assert orders_of((5, 1, 1), (4, 1, 1), 3, MSD2018.resampling) == (3, 3, 3)


def test_sizes_and_orders() -> None:
    assert resampled_size((10, 3, 1), (1.0, 2.0, 1.0), (2.0, 1.0, 100.0)) == (5, 6, 1)
    with pytest.raises(SettingError, match="order 0 or 1"):
        neighbours(3, 5, 3)
