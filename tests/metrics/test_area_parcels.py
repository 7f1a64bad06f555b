"""Intervals of areas from parcels: they hold what they promise where those from pixels do not; limits; by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.metrics.area import adjusted_areas
from hyperseg.metrics.area_parcels import parcel_areas

K = 3
Fields = tuple[NDArray[Any], NDArray[Any]]


def invented_fields(n: int, together: float, rng: np.random.Generator) -> Fields:
    """Classes (n) of fields of 10 to 300 pixels, and (n, K) pixels by what they are mapped as.

    Fields differ in how well they are mapped: the share of each comes from a Dirichlet distribution, so that
    1 / (1 + together) is the correlation of two pixels of a field.
    """
    classes = rng.choice(K, n, p=(0.45, 0.35, 0.2))
    sizes = np.clip(rng.lognormal(3.7, 0.6, n), 10, 300).astype(int)
    right = np.full((K, K), 0.1) + 0.7 * np.eye(K)
    shares = [rng.dirichlet(together * right[k]) for k in classes]
    return classes, np.stack([rng.multinomial(size, share) for size, share in zip(sizes, shares, strict=True)])


def pixels_of(fields: Fields, chosen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(truth, mapped, parcels) of the pixels of the chosen fields."""
    classes, counts = fields[0][chosen], fields[1][chosen]
    each = counts.ravel()
    number = np.repeat(np.arange(len(chosen)), K)
    return np.repeat(classes[number], each), np.repeat(np.tile(np.arange(K), len(chosen)), each), number.repeat(each)


@pytest.mark.parametrize("together", [1.0, 10.0])
def test_intervals_from_parcels_hold_what_they_promise_and_those_from_pixels_do_not(together: float) -> None:
    """400 draws of 100 whole fields of an invented scene of 4000: the true areas lie in 93 to 97 % of the intervals."""
    rng = np.random.default_rng(0)
    fields = invented_fields(4000, together, rng)
    mapped = fields[1].sum(0)
    true = np.array([fields[1][fields[0] == k].sum() for k in range(K)])
    draws, hits, naive, right, mean = 400, np.zeros(K), np.zeros(K), 0, np.zeros(K)
    accuracy = 100 * sum(fields[1][fields[0] == k, k].sum() for k in range(K)) / mapped.sum()
    for _ in range(draws):
        truth, said, number = pixels_of(fields, rng.choice(4000, 100, replace=False))
        found = parcel_areas(truth, said, number, mapped)
        hits += (found.low <= true) & (true <= found.high)
        right += abs(found.overall - accuracy) <= 1.984 * found.overall_error
        mean += found.estimated / draws
        table = np.zeros((K, K), int)
        np.add.at(table, (truth, said), 1)
        plain = adjusted_areas(table, mapped)
        naive += (plain.low <= true) & (true <= plain.high)
        np.testing.assert_allclose(plain.estimated, found.estimated)
    np.testing.assert_allclose(mean, true, rtol=0.03)
    assert 0.93 <= hits.mean() / draws <= 0.97, hits / draws
    assert np.all((hits / draws > 0.92) & (hits / draws < 0.98)), hits / draws
    assert 0.92 < right / draws < 0.98
    assert naive.max() / draws < 0.6, naive / draws


def test_with_a_pixel_in_every_parcel_it_is_the_formula_for_pixels() -> None:
    rng = np.random.default_rng(1)
    truth, said = rng.integers(0, 3, (2, 3000))
    said = np.where(rng.random(3000) < 0.7, truth, said)
    table = np.zeros((3, 3), int)
    np.add.at(table, (truth, said), 1)
    pixels = [40_000, 20_000, 9_000]
    found, plain = parcel_areas(truth, said, np.arange(3000), pixels), adjusted_areas(table, pixels)
    for name in ("estimated", "error", "users_error", "producers", "producers_error", "overall_error", "low", "high"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), rtol=0.02)


def test_writing_every_pixel_ten_times_changes_nothing() -> None:
    """Pixels of a parcel that say the same are no more evidence: what counts are parcels."""
    rng = np.random.default_rng(2)
    truth, said, number = pixels_of(invented_fields(30, 2.0, rng), np.arange(30))
    once = parcel_areas(truth, said, number, [90_000] * 3)
    tenfold = parcel_areas(truth.repeat(10), said.repeat(10), number.repeat(10), [90_000] * 3)
    np.testing.assert_allclose(tenfold.error, once.error)
    np.testing.assert_allclose(tenfold.producers_error, once.producers_error)


def test_the_number_of_a_parcel_and_the_order_of_pixels_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    truth, said, number = pixels_of(invented_fields(20, 2.0, rng), np.arange(20))
    order = rng.permutation(len(truth))
    again = parcel_areas(truth[order], said[order], 1000 - 7 * number[order], [9_000] * 3)
    once = parcel_areas(truth, said, number, [9_000] * 3)
    np.testing.assert_allclose(again.error, once.error)
    assert (again.parcels, again.drawn) == (once.parcels, once.drawn)


def test_one_class_by_hand() -> None:
    """All is mapped as 0; of three parcels of 4, 2 and 2 pixels the second is class 1: a share of 1/4 of 80.

    Residuals of class 1: 80/8 (0 - 1/4 4) = -10, 80/8 (2 - 1/4 2) = 15, and -5; 3/2 (100 + 225 + 25) = 525.
    """
    truth, number = np.array([0, 0, 0, 0, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 2, 2])
    found = parcel_areas(truth, np.zeros(8, int), number, [80, 0])
    np.testing.assert_allclose(found.estimated, (60, 20))
    np.testing.assert_allclose(found.overall_error, 100 * 525**0.5 / 80)
    np.testing.assert_allclose(found.users_error[0], 100 * 525**0.5 / 80)
    assert found.parcels == (2, 1)
    assert found.thin == (0, 1)
    assert np.isnan([found.low, found.high, found.error, found.producers_error]).all()


def test_fewer_than_three_parcels_give_no_interval() -> None:
    truth = np.array([0] * 30 + [1] * 30)
    number = np.repeat(np.arange(6), 10)
    number[50:] = 4  # class 1 has two parcels
    said = np.where(np.arange(60) % 10 < 8, truth, 1 - truth)
    found = parcel_areas(truth, said, number, [500, 500])
    assert found.thin == (1,)
    assert np.isfinite([found.low[0], found.high[0]]).all()
    assert np.isnan([found.low[1], found.high[1], found.error[1]]).all()
    assert np.isfinite(found.estimated).all()


def test_a_parcel_alone_on_a_mapped_class_has_the_largest_possible_variance() -> None:
    """What one parcel says of the ground mapped as class 1 may be half wrong: 100^2 / 4."""
    truth, said = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 0, 0, 1])
    found = parcel_areas(truth, said, np.array([0, 0, 1, 2, 3, 4, 5]), [60, 100])
    assert found.lone == (1,)
    assert found.error[0] >= 50


def test_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match="do not match"):
        parcel_areas(np.zeros(3, int), np.zeros(3, int), np.zeros(2, int), [5, 5])
