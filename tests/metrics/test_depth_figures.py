"""Figures of depth: closed forms, and pixels that are left out."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.metrics.depth import abs_rel, delta1, pooled, rmse

TRUE = np.array([[1.0, 2.0], [4.0, 8.0]])


def test_depth_equal_to_the_truth_is_perfect() -> None:
    assert (delta1(TRUE, TRUE), abs_rel(TRUE, TRUE), rmse(TRUE, TRUE)) == (1, 0, 0)


def test_one_factor_for_all_pixels_has_a_closed_form() -> None:
    assert abs_rel(1.2 * TRUE, TRUE) == pytest.approx(0.2)
    assert rmse(1.2 * TRUE, TRUE) == pytest.approx(0.2 * np.sqrt(np.square(TRUE).mean()))
    for factor, right in ((1.249, 1), (1.25, 0), (1 / 1.249, 1), (0.8, 0)):
        assert delta1(factor * TRUE, TRUE) == right


def test_pixels_are_counted_one_by_one() -> None:
    assert delta1(TRUE * [[1, 2], [1, 1]], TRUE) == 0.75
    assert abs_rel(TRUE + 1, TRUE) == pytest.approx((1 + 0.5 + 0.25 + 0.125) / 4)


def test_unknown_pixels_are_left_out() -> None:
    masked = np.where(TRUE == 8, np.nan, TRUE)
    pred = np.where(TRUE == 8, -1, 1.1 * TRUE)  # what is said there does not matter
    assert delta1(pred, masked) == 1
    assert abs_rel(pred, masked) == pytest.approx(0.1)
    assert rmse(pred, masked) == pytest.approx(rmse(1.1 * TRUE[TRUE < 8], TRUE[TRUE < 8]))


@pytest.mark.parametrize(
    ("pred", "true", "told"),
    [
        (TRUE[:1], TRUE, r"shape \(1, 2\)"),
        (TRUE, np.full((2, 2), np.nan), "all are NaN"),
        (0 * TRUE, TRUE, "4 of 4 estimated"),
        (TRUE, -TRUE, "4 of 4 true"),
        (np.where(TRUE == 1, np.nan, TRUE), TRUE, "1 of 4 estimated"),
        (TRUE, np.where(TRUE == 1, np.inf, TRUE), "1 of 4 true"),
    ],
)
def test_what_cannot_be_compared_is_refused(pred: np.ndarray, true: np.ndarray, told: str) -> None:
    for figure in (delta1, abs_rel, rmse):
        with pytest.raises(SettingError, match=told):
            figure(pred, true)


def test_pooled_maps_are_means_of_parts() -> None:
    maps = np.random.default_rng(0).random((3, 32, 16))
    np.testing.assert_allclose(pooled(maps, 8), maps.reshape(3, 8, 4, 8, 2).mean((2, 4)).reshape(3, 64))
    np.testing.assert_allclose(pooled(maps, 1)[:, 0], maps.mean((1, 2)))
    np.testing.assert_allclose(pooled(maps[:, :16], 16), maps[:, :16].reshape(3, 256))


def test_parts_of_other_sizes_are_as_even_as_can_be() -> None:
    uneven = np.arange(10.0)[None, :, None] * np.ones((1, 1, 4))
    np.testing.assert_allclose(pooled(uneven, 4).reshape(4, 4)[:, 0], [0.5, 3, 5.5, 8])


@pytest.mark.parametrize("maps", [np.ones((2, 7, 8)), np.ones((8, 8)), np.ones((0, 8, 8)), np.full((1, 8, 8), np.nan)])
def test_maps_that_cannot_be_pooled_are_refused(maps: np.ndarray) -> None:
    with pytest.raises(SettingError, match="depth maps"):
        pooled(maps)
