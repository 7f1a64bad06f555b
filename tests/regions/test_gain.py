"""Which regions are worth a label: the greedy choice against brute force, its limits, and the regions themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hyperseg.core import Scene
from hyperseg.regions.fields import cut_into, find_fields
from hyperseg.regions.gain import choose, expected_wrong, usual_distance
from hyperseg.regions.ward import grow_tree
from hyperseg.simulated.scenes import toy_scene

RNG = np.random.default_rng(0)
SPECTRA, WRONG = RNG.normal(size=(9, 3)), RNG.uniform(1, 20, 9)
LABELLED = np.isin(np.arange(9), (2, 6))


def alike(a: int, b: int, width: float) -> float:
    return float(np.exp(-((SPECTRA[a] - SPECTRA[b]) ** 2).sum() / (2 * width**2)))


def test_expected_wrong_is_what_a_vote_of_the_region_leaves() -> None:
    probs = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(expected_wrong(probs, np.array([10, 7])), [5.0, 0.0])


def test_every_choice_is_the_best_one_by_the_formula() -> None:
    found = choose(WRONG, SPECTRA, labelled=LABELLED, budget=4, width=1.3)
    told = [2, 6]
    for r, gain, likeness, nearest in zip(found.regions, found.gains, found.resemblance, found.nearest, strict=True):
        values = {s: WRONG[s] * (1 - max(alike(s, q, 1.3) for q in told)) for s in range(9) if s not in told}
        assert r == max(values, key=lambda s: values[s])
        assert gain == pytest.approx(values[r])
        assert likeness == pytest.approx(max(alike(r, q, 1.3) for q in told))
        assert nearest == max(told, key=lambda q: alike(r, q, 1.3))
        told.append(int(r))
    assert (np.diff(found.gains) <= 1e-12).all()  # what is said already is never worth more
    assert found.walked is None


def test_labelled_and_closed_regions_are_never_chosen_however_much_they_promise() -> None:
    wrong = np.where(LABELLED, 1e9, WRONG)
    closed = np.arange(9) != int(np.where(LABELLED, 0, WRONG).argmax())
    found = choose(wrong, SPECTRA, labelled=LABELLED, open_to=closed, budget=99, width=1e-3)
    assert sorted(found.regions) == [r for r in range(9) if not LABELLED[r] and closed[r]]


def test_of_regions_all_alike_one_is_chosen_and_of_regions_all_apart_the_uncertain_ones() -> None:
    none = np.zeros(4, bool)
    same = choose(np.array([3.0, 9, 5, 1]), np.ones((4, 2)), labelled=none, budget=4)
    np.testing.assert_array_equal(same.regions, [1])  # the others would tell nothing new
    assert same.nearest[0] == -1
    apart = choose(np.array([3.0, 9, 5, 1]), np.eye(4), labelled=none, budget=3, width=1e-3)
    np.testing.assert_array_equal(apart.regions, [1, 2, 0])
    np.testing.assert_allclose(apart.gains, [9, 5, 3])


def test_the_choice_takes_every_order_of_the_regions() -> None:
    found = choose(WRONG, SPECTRA, labelled=LABELLED, budget=5).regions
    order = RNG.permutation(9)
    again = choose(WRONG[order], SPECTRA[order], labelled=LABELLED[order], budget=5).regions
    np.testing.assert_array_equal(order[again], found)


def test_distances_are_relative_to_the_usual_one() -> None:
    assert usual_distance(np.array([[0.0], [1.0], [3.0]])) == 1.0
    assert usual_distance(np.zeros((5, 2))) == 1.0
    found = [choose(WRONG, factor * SPECTRA, labelled=LABELLED, budget=5) for factor in (1, 1000)]
    np.testing.assert_array_equal(found[0].regions, found[1].regions)
    np.testing.assert_allclose(found[0].gains, found[1].gains)


def test_a_way_costs_its_kilometres() -> None:
    places = np.array([[0.0, 0.0], [0.0, 3000.0], [0.0, 1000.0]])
    how = {"labelled": np.zeros(3, bool), "places": places, "width": 1e-3}
    wrong, spectra = np.array([10.0, 14.0, 12.0]), np.eye(3)
    free = choose(wrong, spectra, budget=3, **how)
    np.testing.assert_array_equal(free.regions, [1, 2, 0])
    np.testing.assert_allclose(free.walked, [0, 2000, 1000])  # the first is reached without a way
    dear = choose(wrong, spectra, budget=3, start=np.zeros(2), cost_per_km=4.0, **how)
    np.testing.assert_array_equal(dear.regions, [0, 2, 1])  # 10 - 0, then 12 - 4, then 14 - 8
    np.testing.assert_allclose(dear.gains, [10, 12, 14])  # gains themselves know no way
    np.testing.assert_array_equal(choose(wrong, spectra, budget=3, start=np.zeros(2), cost_per_km=9.0, **how).regions,
                                  [0, 2])  # fmt: skip
    np.testing.assert_array_equal(choose(wrong, spectra, budget=3, cost_per_km=99.0, **how).regions, [1])


# the regions ---------------------------------------------------------------------------------------------------


def test_a_cut_has_the_number_of_regions_and_the_larger_cut_divides_them() -> None:
    image = toy_scene(shape=(20, 18), n_bands=6).cube[:].astype(np.float64)
    tree = grow_tree(image, leaf_px=3)
    cuts = [cut_into(tree, image.reshape(-1, 6), n) for n in (1, 4, 9, tree.n_leaves, 9999)]
    assert [len(np.unique(c)) for c in cuts] == [1, 4, 9, tree.n_leaves, tree.n_leaves]
    for coarse, fine in itertools.pairwise(cuts):
        assert all(len(np.unique(coarse[fine == r])) == 1 for r in np.unique(fine))


def test_fields_of_flat_squares_are_the_squares() -> None:
    rng = np.random.default_rng(1)
    truth = np.kron(np.arange(6).reshape(2, 3), np.ones((8, 8), int))
    cube = rng.normal(size=(6, 12))[truth] * 5 + rng.normal(scale=0.1, size=(16, 24, 12))
    valid = np.ones(truth.shape, bool)
    valid[:3] = False
    cube[:3] = 1e6  # what stands in a hole decides nothing
    fields = find_fields(Scene(cube, valid=valid), field_px=valid.sum() / 6)
    assert fields is not None
    assert (fields.number[~valid] == -1).all()
    pairs = {(a, b) for a, b in zip(truth[valid], fields.number[valid], strict=True)}
    assert len(pairs) == 6 == len(fields.pixels)
    np.testing.assert_array_equal(np.sort(fields.pixels), [40] * 3 + [64] * 3)
    r = fields.number[-1, 0]
    np.testing.assert_allclose(fields.centres[r], [11.5, 3.5])
    np.testing.assert_allclose(fields.means(truth[..., None])[fields.number[-1, -1]], [5])
    mask = np.zeros(truth.shape, bool)
    mask[:4, 0] = True
    np.testing.assert_array_equal(np.flatnonzero(fields.holding(mask)), [fields.number[3, 0]])


def test_a_scene_without_neighbours_has_no_fields() -> None:
    assert find_fields(Scene(RNG.normal(size=(1, 2, 5))), field_px=4) is None
