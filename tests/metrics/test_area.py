"""Adjusted areas: a published example, a case by hand, limits, and intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import LabelError
from hyperseg.metrics.area import Z95, adjusted_areas

# deforestation, forest gain, stable forest, stable non-forest: rows as mapped, columns as found
PUBLISHED = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_published_example() -> None:
    """Olofsson et al. 2014, section 5: 21,158 ha of deforestation, plus or minus 6,158 ha, in pixels of 30 m."""
    found = adjusted_areas(PUBLISHED.T, PIXELS, pixel_area=0.09)
    half_width = found.high[0] - found.estimated[0]
    np.testing.assert_allclose((found.estimated[0], Z95 * found.error[0], half_width), (21_158, 6_158, 6_158), atol=1)
    np.testing.assert_allclose(found.users, (88, 73, 93, 96), atol=0.5)
    np.testing.assert_allclose(found.producers, (75, 85, 93, 96), atol=0.5)
    np.testing.assert_allclose(Z95 * found.users_error, (7, 10, 4, 2), atol=0.5)
    assert Z95 * found.producers_error[0] == pytest.approx(21, abs=0.5)
    np.testing.assert_allclose((found.overall, Z95 * found.overall_error), (95, 2), atol=0.5)
    assert found.estimated.sum() == pytest.approx(found.total) == pytest.approx(900_000)


def test_two_classes_by_hand() -> None:
    """Of 60 mapped as A, 10 looked at: 8 A, 2 B. Of 40 mapped as B, 5 looked at: 1 A, 4 B."""
    found = adjusted_areas(np.array([[8, 1], [2, 4]]), [60, 40], pixel_area=2.0)
    assert found.mapped.tolist() == [120, 80]
    a = 120 * 0.8 + 80 * 0.2
    np.testing.assert_allclose(found.estimated, (a, 200 - a))
    variance = 120**2 * 0.8 * 0.2 / 9 + 80**2 * 0.2 * 0.8 / 4
    np.testing.assert_allclose(found.error, variance**0.5)
    np.testing.assert_allclose(found.users, (80, 80))
    np.testing.assert_allclose(found.users_error, (100 * (0.16 / 9) ** 0.5, 100 * (0.16 / 4) ** 0.5))
    p = 96 / a
    np.testing.assert_allclose(found.producers[0], 100 * p)
    by_hand = ((1 - p) ** 2 * 120**2 * 0.16 / 9 + p**2 * 80**2 * 0.16 / 4) ** 0.5 / a
    np.testing.assert_allclose(found.producers_error[0], 100 * by_hand)
    np.testing.assert_allclose(found.overall, 80)


def test_a_map_without_errors_keeps_its_areas() -> None:
    found = adjusted_areas(np.diag([5, 3, 9]), [50, 30, 20])
    np.testing.assert_allclose(found.estimated, found.mapped)
    np.testing.assert_array_equal((found.error, found.users, found.producers), [[0] * 3, [100] * 3, [100] * 3])
    assert (found.unassessed, found.unseen, found.lone, found.left_out) == ((), (), (), 0)


def test_every_pixel_looked_at_gives_the_truth() -> None:
    """Where the reference is the whole scene, the estimate is a count."""
    table = np.random.default_rng(3).integers(1, 50, (5, 5))
    found = adjusted_areas(table, table.sum(0))
    np.testing.assert_allclose(found.estimated, table.sum(1))
    np.testing.assert_allclose(found.overall, 100 * np.trace(table) / table.sum())
    np.testing.assert_allclose(found.producers, 100 * np.diagonal(table) / table.sum(1))


def test_pixels_of_different_size_weigh_by_their_area() -> None:
    table = np.array([[8, 1], [2, 4]])
    found = adjusted_areas(table, [60, 40], pixel_area=[2.0, 0.5])
    again = adjusted_areas(table, [120, 20])
    for name in ("mapped", "estimated", "error", "low", "high", "producers", "overall"):
        np.testing.assert_allclose(getattr(found, name), getattr(again, name))


@pytest.mark.parametrize("design", ["stratified", "simple"])
def test_intervals_hold_what_they_promise(design: str) -> None:
    """A biased map: twice the true area of class 0 is mapped; the estimate is right, its interval in 95 % of draws."""
    truth = np.array([[0.05, 0.04, 0.01], [0.005, 0.50, 0.045], [0.005, 0.03, 0.315]])  # rows mapped
    size, draws, rng = 100_000, 1500, np.random.default_rng(0)
    pixels = size * truth.sum(1)
    true_areas = size * truth.sum(0)
    assert pixels[0] > 1.6 * true_areas[0]
    hits, estimates = np.zeros(3), np.zeros(3)
    for _ in range(draws):
        if design == "stratified":
            sample = np.stack([rng.multinomial(400, row / row.sum()) for row in truth])
        else:
            sample = rng.multinomial(1000, truth.ravel()).reshape(3, 3)
        found = adjusted_areas(sample.T, pixels)
        hits += (found.low <= true_areas) & (true_areas <= found.high)
        estimates += found.estimated / draws
    np.testing.assert_allclose(estimates, true_areas, rtol=0.02)
    assert np.all((hits / draws > 0.925) & (hits / draws < 0.975)), hits / draws


def test_a_mapped_class_nobody_looked_at_is_left_out_and_named() -> None:
    found = adjusted_areas(np.array([[8, 1, 0], [2, 4, 0], [1, 0, 0]]), [60, 40, 100])
    assert found.unassessed == (2,)
    assert (found.total, found.assessed) == (200, 100)
    assert np.isnan([found.estimated[2], found.error[2], found.users[2], found.producers[2]]).all()
    assert found.estimated[0] == pytest.approx(60 * 8 / 11 + 40 / 5)  # the unassessed hundred changes nothing
    assert found.high.max(initial=0, where=np.isfinite(found.high)) <= 100


def test_a_class_without_reference_pixels_has_no_estimate() -> None:
    """Its mapped pixels turned out to be others; that it covers nothing is not what was found."""
    found = adjusted_areas(np.array([[5, 3], [0, 0]]), [50, 10])
    assert found.unseen == (1,)
    assert np.isnan(found.estimated[1])
    assert found.users[1] == 0
    assert found.estimated[0] == 60
    absent = adjusted_areas(np.array([[5, 0], [0, 0]]), [50, 0])
    assert absent.unassessed == ()
    assert np.isnan(absent.estimated[1])
    assert absent.mapped[1] == 0


def test_a_class_that_was_mapped_nowhere_can_have_an_area() -> None:
    found = adjusted_areas(np.array([[6, 0], [4, 0]]), [50, 0])
    np.testing.assert_allclose(found.estimated, (30, 20))
    assert found.producers[1] == 0
    assert np.isnan(found.users[1])


def test_one_reference_pixel_gives_the_widest_interval() -> None:
    found = adjusted_areas(np.array([[30, 1], [10, 0]]), [90, 10])
    assert found.lone == (1,)
    np.testing.assert_allclose(found.error, (90**2 * 0.75 * 0.25 / 39 + 10**2 / 4) ** 0.5)
    assert np.isnan(found.users_error[1])
    assert np.isfinite(found.users_error[0])


def test_pixels_off_the_map_are_counted_and_not_used() -> None:
    table = np.array([[8, 1, 7], [2, 4, 0]])
    found = adjusted_areas(table, [60, 40])
    assert found.left_out == 7
    np.testing.assert_array_equal(found.estimated, adjusted_areas(table[:, :2], [60, 40]).estimated)


def test_what_cannot_be_is_refused() -> None:
    for table, pixels, said in (
        (np.ones((2, 4), int), [1, 1], "shapes"),
        (np.ones((2, 2), int), [5, 5, 5], "shapes"),
        (-np.eye(2, dtype=int), [5, 5], "negative"),
        (np.zeros((2, 2), int), [5, 5], "no reference pixel"),
        (np.array([[0, 0, 3], [0, 0, 1]]), [5, 5], "no reference pixel"),
        (np.array([[6, 0], [0, 1]]), [5, 5], "do not belong together"),
    ):
        with pytest.raises(LabelError, match=said):
            adjusted_areas(table, pixels)
