"""Which classes lie beside each other: counts by brute force, chance as it should be, agreement with itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixels import decode

from hyperseg.core import LabelError, SettingError
from hyperseg.crf.adjacency import LEAST, adjacency_figure, agreement, count_pairs, expected_pairs, preference
from hyperseg.simulated.potts import interaction, sample_fields, touching

Tables = dict[str, NDArray[Any]]


def some_counts(k: int, *, seed: int = 0) -> Tables:
    rng = np.random.default_rng(seed)
    return {name: rng.integers(0, 200, (k, k)) + 5000 * np.eye(k, dtype=int) for name in ("right", "below")}


def as_shares(counts: Tables) -> Tables:
    return {name: table / table.sum() for name, table in counts.items()}


def colours(k: int) -> list[tuple[int, int, int]]:
    return [(0, 200 - i, 40 + i) for i in range(k)]


def drawn(seen: Tables) -> NDArray[np.uint8]:
    """Pixels of the figure beside counts that are not these."""
    k = len(seen["right"])
    names = [f"class {i}" for i in range(k)]
    return decode(adjacency_figure(as_shares(some_counts(k)), seen, names, colours(k)))


def grey(seen: Tables) -> int:
    return int((drawn(seen) == 0xC4).all(-1).sum())


@pytest.mark.parametrize("within", [1, 2, 5])
def test_pairs_are_those_of_a_loop_over_all_pixels(within: int) -> None:
    labels = np.random.default_rng(0).integers(-1, 3, (6, 7))
    found = {"right": np.zeros((3, 3), int), "below": np.zeros((3, 3), int)}
    for (i, j), a in np.ndenumerate(labels):
        for (m, n), b in np.ndenumerate(labels):
            dy, dx = m - i, n - j
            if min(a, b) < 0 or abs(dy) + abs(dx) > within:
                continue
            if dx > 0 and dx >= abs(dy):
                found["right"][a, b] += 1
            elif dy > 0 and dy > abs(dx):
                found["below"][a, b] += 1
    counted = count_pairs(labels, 3, within=within)
    for name, table in found.items():
        np.testing.assert_array_equal(counted[name], table)
    if within == 1:
        np.testing.assert_array_equal(np.stack(list(counted.values())), touching(labels, 3))
    known = int((labels >= 0).sum())
    if within == 5:  # every pair is counted once, whichever way round, as far as it reaches
        places = np.argwhere(labels >= 0)
        near = np.abs(places[:, None] - places[None]).sum(-1) <= within
        assert sum(t.sum() for t in counted.values()) == (near.sum() - known) // 2


def test_pairs_of_nothing_are_none_and_other_labels_are_refused() -> None:
    assert count_pairs(np.full((4, 5), -1), 2)["right"].tolist() == [[0, 0], [0, 0]]
    for wrong in (np.array([[0, 2]]), np.zeros((2, 2, 2), int)):
        with pytest.raises(LabelError, match="from -1 to 1"):
            count_pairs(wrong, 2)
    with pytest.raises(SettingError, match="within 1 pixel"):
        count_pairs(np.array([[0, 1]]), 2, within=0)


@pytest.mark.parametrize("k", [3, 5, 16])
def test_what_is_expected_has_the_borders_of_the_table_and_no_side(k: int) -> None:
    table = some_counts(k)["right"].astype(float)
    expected = expected_pairs(table)
    np.testing.assert_allclose(expected, expected.T)
    np.testing.assert_array_equal(expected.diagonal(), 0)
    off = table * (1 - np.eye(k))
    np.testing.assert_allclose(2 * expected.sum(0), off.sum(0) + off.sum(1), rtol=1e-9)
    changed = table + np.diag(np.arange(k) * 1e6)
    np.testing.assert_array_equal(expected_pairs(changed), expected)  # equal neighbours do not matter


@pytest.mark.parametrize("k", [2, 3, 8])
def test_classes_that_meet_by_chance_have_no_preference_however_large_they_are(k: int) -> None:
    factor = np.arange(1.0, k + 1)
    table = np.outer(factor, factor)
    shown = preference(table)
    assert np.isnan(shown.diagonal()).all()
    np.testing.assert_allclose(shown[~np.eye(k, dtype=bool)], 0, atol=1e-6)


def test_a_preference_does_not_depend_on_the_number_of_pairs_and_keeps_the_sides_apart() -> None:
    table = some_counts(5)["right"] + 1.0
    shown = preference(table)
    np.testing.assert_allclose(preference(7 * table), shown, atol=1e-9)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose((shown - shown.T)[off], np.log2(table / table.T)[off], atol=1e-9)
    # two classes: one is left of the other three times out of four
    np.testing.assert_allclose(preference([[9.0, 3.0], [1.0, 9.0]])[[0, 1], [1, 0]], np.log2([1.5, 0.5]))


def test_classes_that_never_meet_and_classes_without_neighbours() -> None:
    table = np.array([[0, 6, 0, 0], [5, 0, 4, 0], [0, 9, 0, 0], [0, 0, 0, 50]])
    shown = preference(table)
    assert shown[0, 2] == shown[2, 0] == -math.inf
    assert np.isnan([shown[3], shown[:, 3]]).all()
    assert np.isfinite(shown[[0, 1], [1, 0]]).all()
    assert np.isnan(preference(np.eye(3))).all()


@pytest.mark.parametrize("k", [3, 5, 16])
def test_a_model_that_knows_the_ground_truth_agrees_with_it(k: int) -> None:
    seen = some_counts(k)
    found = agreement(as_shares(seen), seen)
    assert found["rank"] == pytest.approx(1)
    assert found["asymmetry"] == pytest.approx(1)
    assert 0 < found["entries"] <= 2 * k * (k - 1)
    assert 0 < found["pairs"] <= k * (k - 1)
    # the same the wrong way round: what was left is right
    turned = {name: table.T for name, table in as_shares(seen).items()}
    assert agreement(turned, seen)["asymmetry"] == pytest.approx(-1)


def test_agreement_does_not_depend_on_the_order_of_the_classes() -> None:
    seen, learnt = some_counts(6), as_shares(some_counts(6, seed=1))
    order = np.random.default_rng(2).permutation(6)
    moved = [{name: t[np.ix_(order, order)] for name, t in tables.items()} for tables in (learnt, seen)]
    assert agreement(*moved) == pytest.approx(agreement(learnt, seen))
    assert abs(agreement(learnt, seen)["rank"]) < 0.5  # strangers


def test_without_sides_there_is_no_asymmetry_to_agree_on() -> None:
    seen = {name: t + t.T for name, t in some_counts(5).items()}
    found = agreement(as_shares(seen), seen)
    assert found["rank"] == pytest.approx(1)
    assert math.isnan(found["asymmetry"])
    assert math.isnan(agreement(as_shares(some_counts(5)), seen)["asymmetry"])


def test_too_few_pairs_say_nothing() -> None:
    rare = {name: np.eye(4) * 1000 + np.eye(4)[::-1] * (LEAST - 3) for name in ("right", "below")}
    found = agreement(as_shares(some_counts(4)), rare)
    assert found == pytest.approx({"rank": math.nan, "asymmetry": math.nan, "entries": 0, "pairs": 0}, nan_ok=True)
    # a class more that was seen once changes nothing
    seen, learnt = some_counts(4), as_shares(some_counts(4, seed=1))
    more = {name: np.pad(table, (0, 1)) for name, table in seen.items()}
    unseen = {name: np.pad(table, (0, 1), constant_values=1e-4) for name, table in learnt.items()}
    assert agreement(unseen, more)["entries"] == agreement(learnt, seen)["entries"]


def test_what_was_put_into_a_field_is_found_in_its_pairs() -> None:
    """Classes 0 and 1 never touch, 3 may lie right of or below 2 and never the other way round."""
    energies = interaction(4, smoothness=1.0, apart=[(0, 1)], order=[(2, 3)])
    labels = sample_fields(1, (60, 60), energies, seed=0, sweeps=30)[0]
    seen = count_pairs(labels, 4)
    for table in seen.values():
        shown = preference(table)
        assert shown[0, 1] == shown[1, 0] == shown[3, 2] == -math.inf
        assert np.isfinite(shown[[2, 0, 1, 2], [3, 2, 3, 0]]).all()
    learnt = {name: np.exp(-energies) for name in seen}  # what a pair would do on its own
    found = agreement(learnt, seen)
    assert found["rank"] > 0.6
    assert found["asymmetry"] > 0.9


@pytest.mark.parametrize("k", [2, 9, 16])
def test_the_figure_is_a_picture_to_look_at(k: int) -> None:
    picture = drawn(some_counts(k))
    assert all(500 < side < 1500 for side in picture.shape[:2])
    for colour in colours(k):  # beside both axes of names
        assert (picture == colour).all(-1).sum() > 2 * 20


def test_what_the_ground_truth_does_not_tell_is_grey() -> None:
    def where(told: NDArray[Any]) -> int:
        return grey({name: table * told for name, table in some_counts(6).items()})

    others = np.arange(6) != 2
    whole, one, nothing = where(np.ones((6, 6), int)), where(np.outer(others, others)), where(np.zeros((6, 6), int))
    assert one - whole > 10_000  # 2 times 10 cells of a class without neighbours
    assert nothing - whole == pytest.approx(3 * (one - whole), rel=0.1)  # 2 times 30 cells
    # pairs that never meet are not grey where some were to be expected
    assert where(1 - np.eye(6, dtype=int)[::-1]) == pytest.approx(whole, rel=0.05)


def test_tables_that_do_not_fit_are_refused() -> None:
    seen = some_counts(3)
    learnt = as_shares(seen)
    for wrong in ({"right": learnt["right"]}, as_shares(some_counts(4)), {name: t[:2] for name, t in learnt.items()}):
        with pytest.raises(LabelError, match="learnt and counted tables"):
            agreement(wrong, seen)
    with pytest.raises(LabelError, match="learnt and counted tables"):
        agreement({n: np.ones((1, 1)) for n in seen}, {n: np.ones((1, 1)) for n in seen})
    for factor in (-1, np.nan):
        with pytest.raises(LabelError, match="not negative"):
            agreement({n: t * factor for n, t in learnt.items()}, seen)
    with pytest.raises(LabelError, match="names and colours"):
        adjacency_figure(learnt, seen, ["a", "b"], colours(3))


def test_a_class_name_is_text_and_matplotlib_stays_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    seen = some_counts(3)
    learnt = {name: table.tolist() for name, table in as_shares(seen).items()}  # as read from a file
    names = ["$x^{2$", "a\nb", "n" * 300]
    png = adjacency_figure(learnt, seen, names, colours(3))
    assert decode(png).shape[1] < 1500
    assert png == adjacency_figure(as_shares(seen), seen, names, colours(3))
    assert dict(matplotlib.rcParams) == before
