"""Design effects: closed forms, the limit of single pixels, coverage of the error, and what cannot be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperseg.core import LabelError
from hyperseg.metrics.area_parcels import parcel_areas
from hyperseg.metrics.area_table import design_sentence
from hyperseg.metrics.design import design_of


@pytest.mark.parametrize(("m", "size", "wrong"), [(10, 7, 3), (200, 25, 80), (50, 1, 20)])
def test_parcels_that_are_right_or_wrong_as_a_whole(m: int, size: int, wrong: int) -> None:
    """Effect (n - 1) / (m - 1), about the size of a parcel; m parcels tell as much as about m - 1 pixels."""
    right = np.repeat(np.arange(m) >= wrong, size)
    found = design_of(right, np.repeat(np.arange(m), size))
    p = 1 - wrong / m
    assert (found.n, found.parcels) == (m * size, m)
    np.testing.assert_allclose(found.accuracy, 100 * p)
    np.testing.assert_allclose(found.error, 100 * math.sqrt(p * (1 - p) / (m - 1)))
    np.testing.assert_allclose(found.effect, (m * size - 1) / (m - 1))
    np.testing.assert_allclose(found.effective, found.n / found.effect)
    assert abs(found.effective - (m - 1)) < 1 + m / (m * size)


def test_parcels_of_one_pixel_have_no_effect() -> None:
    right = np.random.default_rng(0).random(300) < 0.7
    found = design_of(right, np.random.default_rng(1).permutation(300))
    np.testing.assert_allclose((found.effect, found.effective), (1, 300))


def test_pixels_that_know_nothing_of_their_parcels_have_an_effect_of_about_one() -> None:
    rng = np.random.default_rng(2)
    effects = [design_of(rng.random(2000) < 0.6, np.repeat(np.arange(100), 20)).effect for _ in range(50)]
    np.testing.assert_allclose(np.mean(effects), 1, atol=0.05)


def test_the_error_is_the_spread_over_samples_of_parcels() -> None:
    rng = np.random.default_rng(3)
    sizes, share = rng.integers(5, 80, 3000), rng.beta(2, 1, 3000)
    hits = rng.binomial(sizes, share)
    found = []
    for _ in range(300):
        chosen = rng.choice(3000, 60)
        number = np.repeat(np.arange(60), sizes[chosen])
        place = np.arange(number.size) - np.repeat(np.cumsum(sizes[chosen]) - sizes[chosen], sizes[chosen])
        found.append(design_of(place < hits[chosen][number], number))
    spread = np.std([d.accuracy for d in found])
    np.testing.assert_allclose(np.mean([d.error for d in found]), spread, rtol=0.1)
    assert np.mean([d.effect for d in found]) > 5


def test_it_is_the_error_of_areas_where_all_is_mapped_as_one_class() -> None:
    truth, number = np.array([0, 0, 0, 0, 1, 1, 0, 0]), np.array([4, 4, 4, 4, 9, 9, 2, 2])
    said = np.zeros(8, int)
    areas, found = parcel_areas(truth, said, number, [80, 0]), design_of(truth == said, number)
    np.testing.assert_allclose(found.error, areas.overall_error)


def test_effects_of_areas_compare_the_two_errors() -> None:
    rng = np.random.default_rng(4)
    number = np.repeat(np.arange(40), 25)
    truth = (number % 2).astype(int)
    said = np.where(np.repeat(rng.random(40) < 0.8, 25), truth, 1 - truth)
    found = parcel_areas(truth, said, number, [5000, 5000])
    assert found.effects is not None
    assert np.all((found.effects > 15) & (found.effects < 40))
    single = parcel_areas(truth, said, np.arange(1000), [5000, 5000])
    assert single.effects is not None
    np.testing.assert_allclose(single.effects, 1, rtol=0.02)


@pytest.mark.parametrize(
    ("right", "parcels", "why"),
    [
        ([1, 0, 1, 1], [0, 0, 0, 0], "these are too few fields"),
        ([1, 0, 1, 1], [0, 0, 1, 1], "these are too few fields"),
        ([1, 1, 1, 1], [0, 1, 2, 3], "these fields do not differ in how well they are mapped"),
        ([0, 0, 0, 0], [0, 1, 2, 3], "these fields do not differ in how well they are mapped"),
        ([1, 0] * 3, [0, 0, 1, 1, 2, 2], "these fields do not differ in how well they are mapped"),
        ([1], [5], "these are too few fields"),
    ],
)
def test_what_cannot_be_known_is_said_in_words(right: list[int], parcels: list[int], why: str) -> None:
    found = design_of(np.array(right, bool), np.array(parcels))
    assert math.isnan(found.effect)
    assert math.isnan(found.effective)
    design = {"sample": "test", "pixels": found.n, "parcels": found.parcels, "design_effect": None}
    sentence = design_sentence({"sampled": {"unit": "field"}, "design": design})
    assert sentence.endswith(f"is not known: {why}.")


def test_the_sentence() -> None:
    design = {"sample": "labelled", "pixels": 5259, "parcels": 23, "design_effect": 128.27, "effective_pixels": 41.0}
    areas = {"sampled": {"unit": "polygon"}, "design": design}
    assert design_sentence(areas) == (
        "For OA, 5 259 labelled pixels of 23 polygons tell as much as 41 independent ones: design effect 128."
    )
    assert design_sentence({"sampled": {"unit": "pixel"}, "design": None}) == ""


def test_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match="give"):
        design_of(np.zeros(3, bool), np.zeros(2, int))
    with pytest.raises(LabelError, match="give"):
        design_of(np.zeros(0, bool), np.zeros(0, int))
