"""Inverse depth: ends, the way back, and what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.data.inverse_depth import InverseDepth

INVERSE = InverseDepth(1.0, 10.0)


def test_the_nearest_is_one_and_the_farthest_zero() -> None:
    np.testing.assert_allclose(INVERSE.of([1.0, 10.0, 20 / 11]), [1, 0, 0.5], atol=1e-15)


def test_the_way_back_is_the_inverse() -> None:
    z = np.random.default_rng(0).uniform(1, 10, (3, 4))
    np.testing.assert_allclose(INVERSE.back(INVERSE.of(z)), z, rtol=1e-12)


def test_an_equal_step_is_an_equal_step_of_the_inverse() -> None:
    steps = np.diff(1 / INVERSE.back(np.linspace(0, 1, 7)))
    np.testing.assert_allclose(steps, 0.9 / 6, rtol=1e-12)


def test_values_outside_are_held_at_the_bounds_and_nan_stays() -> None:
    np.testing.assert_array_equal(INVERSE.of([0.1, 99.0, np.nan, np.inf]), [1, 0, np.nan, 0])
    np.testing.assert_allclose(INVERSE.back([-1, 2, np.nan]), [10, 1, np.nan])


def test_float32_stays_float32() -> None:
    z = np.array([1, 5, 10], np.float32)
    assert INVERSE.of(z).dtype == INVERSE.back(z).dtype == np.float32
    assert INVERSE.of([1, 5]).dtype == np.float64


@pytest.mark.parametrize("bounds", [(0, 1), (2, 1), (1, 1), (1, np.inf), (np.nan, 1)])
def test_bounds_that_are_none_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match="z_min > 0"):
        InverseDepth(*bounds)
