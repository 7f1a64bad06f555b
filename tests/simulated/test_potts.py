"""Fields are drawn from the distribution stated (by enumeration), forbidden pairs never occur, areas balance."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import LabelError, SettingError
from hyperseg.data.splits import make_split
from hyperseg.simulated.potts import FORBIDDEN, interaction, sample_fields, touching
from hyperseg.simulated.scenes import USGS_APART, USGS_ORDER, simulate_usgs_potts
from hyperseg.simulated.usgs import USGS_NAMES

ENERGIES = interaction(6, apart=USGS_APART, order=USGS_ORDER)


def one_map(shape: tuple[int, int], *energies: Any, **options: Any) -> np.ndarray:
    return sample_fields(1, shape, *energies, **options)[0]


def enumerate_fields(shape: tuple[int, int], right: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All K^(H W) maps and their probabilities."""
    maps = np.array(list(itertools.product(range(len(right)), repeat=shape[0] * shape[1]))).reshape(-1, *shape)
    energy = right[maps[:, :, :-1], maps[:, :, 1:]].sum((1, 2))
    energy += below[maps[:, :-1], maps[:, 1:]].sum((1, 2))
    weight = np.exp(-energy)
    return maps, weight / weight.sum()


def assert_frequencies(found: np.ndarray, expected: np.ndarray, n: int) -> None:
    """Within 5 standard errors of n independent draws."""
    error = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(found - expected) <= 5 * error + 1e-9).all(), np.abs(found - expected).max()


def test_every_map_of_two_by_two_pixels_is_as_frequent_as_its_energy_says() -> None:
    rng = np.random.default_rng(0)
    right, below = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    n = 20_000
    drawn = sample_fields(n, (2, 2), right, below, seed=1, sweeps=30)
    _, probability = enumerate_fields((2, 2), right, below)
    code = drawn.reshape(n, 4) @ np.array([8, 4, 2, 1])
    assert_frequencies(np.bincount(code, minlength=16) / n, probability, n)


@pytest.mark.parametrize("forbidden", [False, True])
def test_marginals_and_pairs_of_two_by_three_pixels_and_three_classes(forbidden: bool) -> None:
    rng = np.random.default_rng(2)
    right, below = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    if forbidden:
        right[0, 1] = below[2, 1] = FORBIDDEN
    n = 20_000
    drawn = sample_fields(n, (2, 3), right, below, seed=3, sweeps=40)
    maps, probability = enumerate_fields((2, 3), right, below)
    for k in range(3):
        assert_frequencies((drawn == k).mean(0), np.tensordot(probability, maps == k, 1), n)
    for (r, c), (s, d) in itertools.combinations(itertools.product(range(2), range(3)), 2):
        for a, b in itertools.product(range(3), repeat=2):
            expected = probability[(maps[:, r, c] == a) & (maps[:, s, d] == b)].sum()
            assert_frequencies(((drawn[:, r, c] == a) & (drawn[:, s, d] == b)).mean(), expected, n)


def test_below_defaults_to_right_and_transposing_exchanges_them() -> None:
    e = np.array([[0.0, 1.0], [0.2, 0.0]])
    a, b = (one_map((9, 8), e, below, seed=0) for below in (None, e))
    np.testing.assert_array_equal(a, b)
    apart = np.array([[0.0, FORBIDDEN], [FORBIDDEN, 0.0]])
    rows = one_map((40, 30), apart, 0 * apart, seed=0, balance=0.5)
    assert np.ptp(rows, axis=1).max() == 0  # all rows uniform: nothing may change to the right


def test_no_energies_mean_independent_fair_pixels() -> None:
    labels = one_map((100, 100), np.zeros((4, 4)), seed=0, sweeps=1)
    share = touching(labels, 4) / (99 * 100)
    np.testing.assert_allclose(share, 1 / 16, atol=0.02)


@pytest.mark.parametrize("sweeps", [1, 2, 7, 60])
def test_forbidden_pairs_never_occur_however_few_the_sweeps(sweeps: int) -> None:
    for seed in range(3):
        counts = touching(one_map((48, 40), ENERGIES, seed=seed, sweeps=sweeps), 6)
        assert counts[:, ENERGIES == FORBIDDEN].sum() == 0
        assert counts.sum() == 48 * 39 + 47 * 40


def test_order_is_one_way_and_both_ways_are_apart() -> None:
    counts = touching(one_map((96, 96), ENERGIES, seed=4, balance=0.5), 6)
    for a, b in USGS_ORDER:
        assert (counts[:, a, b] > 10).all()
        assert (counts[:, b, a] == 0).all()
    for a, b in USGS_APART:
        assert (counts[:, [a, b], [b, a]] == 0).all()


def test_two_ordered_classes_without_a_third_make_a_staircase() -> None:
    drawn = sample_fields(50, (5, 6), interaction(2, smoothness=0.0, order=[(0, 1)]), seed=0, sweeps=200)
    assert (np.diff(drawn, axis=1) >= 0).all()
    assert (np.diff(drawn, axis=2) >= 0).all()
    assert len(np.unique(drawn.sum((1, 2)))) > 15


def test_same_seed_same_map_and_zero_is_a_seed() -> None:
    a, b, c = (one_map((20, 21), ENERGIES, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert a.dtype == np.int16


@pytest.mark.parametrize("energies", [interaction(6), ENERGIES], ids=["potts", "constrained"])
def test_areas_balance_and_regions_are_several_pixels_large(energies: np.ndarray) -> None:
    for seed in range(3):
        labels = one_map((96, 96), energies, seed=seed, balance=1.0)
        area = np.bincount(labels.ravel(), minlength=6)
        assert area.max() < 2 * area.min()
        counts = touching(labels, 6).sum(0)
        # an edge every 1 / (1 - same) pixels of a line
        assert 4 < 1 / (1 - np.trace(counts) / counts.sum()) < 40


def test_touching_is_the_loop_over_neighbours() -> None:
    labels = np.random.default_rng(0).integers(-1, 4, (7, 9))
    expected = np.zeros((2, 4, 4), int)
    for r, c in itertools.product(range(7), range(9)):
        for direction, (s, d) in enumerate(((r, c + 1), (r + 1, c))):
            if s < 7 and d < 9 and labels[r, c] >= 0 and labels[s, d] >= 0:
                expected[direction, labels[r, c], labels[s, d]] += 1
    np.testing.assert_array_equal(touching(labels.astype(np.int16), 4), expected)
    np.testing.assert_array_equal(touching(labels.T, 4), expected[::-1])
    assert touching(np.full((3, 3), -1), 2).sum() == 0
    assert touching(np.zeros((1, 5), int), 1).tolist() == [[[4]], [[0]]]


def test_interaction_is_the_table_described() -> None:
    found = interaction(3, smoothness=0.5, apart=[(0, 1)], order=[(1, 2)])
    np.testing.assert_array_equal(found, [[0, FORBIDDEN, 0.5], [FORBIDDEN, 0, 0.5], [0.5, FORBIDDEN, 0]])
    assert np.unique(interaction(5)).tolist() == [0, 1.6]


def test_mistakes_are_refused() -> None:
    for pairs in (
        {"apart": [(0, 3)]}, {"order": [(1, 1)]}, {"order": [(0, 1), (1, 0)]}, {"apart": [(1, 0)], "order": [(0, 1)]},
        {"smoothness": -1.0}, {"smoothness": np.nan},
    ):  # fmt: skip
        with pytest.raises(SettingError):
            interaction(3, **pairs)
    for bad in (np.zeros((2, 3)), np.full((2, 2), np.inf), np.full((2, 2), np.nan), np.zeros((0, 0))):
        with pytest.raises(SettingError, match="FORBIDDEN"):
            one_map((4, 4), bad, seed=0)
    good = np.zeros((2, 2))
    for shape, below, options in (
        ((0, 4), good, {}), ((4, 4), np.zeros((3, 3)), {}), ((4, 4), good, {"sweeps": 0}),
        ((4, 4), good, {"balance": -0.1}),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            one_map(shape, good, below, seed=0, **options)
    for labels in (np.zeros((2, 2)), np.zeros(3, int), np.full((2, 2), -2), np.full((2, 2), 4)):
        with pytest.raises(LabelError):
            touching(labels, 4)


def test_scene_of_library_spectra_keeps_the_energies(shared_data: Path) -> None:
    found = simulate_usgs_potts(shared_data, seed=0)
    scene = found.scene
    assert (scene.name, scene.classes) == ("simulated-usgs-potts", USGS_NAMES)
    assert scene.cube.shape == (96, 96, 120)
    assert touching(scene.labels, 6)[:, ENERGIES == FORBIDDEN].sum() == 0
    area = scene.class_counts()
    assert area.max() < 2 * area.min()
    # neighbours leak into a pixel, but its own class stays the largest share
    np.testing.assert_array_equal(found.abundances[..., :6].argmax(-1), scene.labels)
    assert found.abundances.max(-1).min() < 0.9


def test_unlabelled_patches_change_labels_alone(shared_data: Path) -> None:
    whole, patchy = (simulate_usgs_potts(shared_data, shape=(48, 40), seed=3, unlabelled=u) for u in (0.0, 0.3))
    assert whole.scene.cube.tobytes() == patchy.scene.cube.tobytes()
    bare = patchy.scene.labels == -1
    assert bare.mean() == pytest.approx(0.3, abs=0.001)
    np.testing.assert_array_equal(patchy.scene.labels[~bare], whole.scene.labels[~bare])
    assert (bare[:, 1:] == bare[:, :-1]).mean() > 0.9  # patches, not scattered pixels
    other = simulate_usgs_potts(shared_data, shape=(48, 40), seed=3, noise_snr=np.inf, name="clear")
    assert other.scene.name == "simulated-clear"
    assert (other.noise_std == 0).all()
    np.testing.assert_array_equal(other.scene.labels, whole.scene.labels)
    with pytest.raises(SettingError, match="unlabelled"):
        simulate_usgs_potts(shared_data, unlabelled=1.0)


def test_an_svm_on_single_pixels_is_right_on_about_three_quarters(shared_data: Path) -> None:
    from hyperseg.hsi.classical import fit_spectral, fit_svm, predict_map

    scene = simulate_usgs_potts(shared_data, seed=0).scene
    split = make_split("random_fraction:0.05,val=0", scene.labels, 6, seed=0)
    right = predict_map(fit_spectral(scene, split, fit_svm, seed=0), scene.cube).argmax(-1) == scene.labels
    assert 0.65 < right[split.test].mean() < 0.80
