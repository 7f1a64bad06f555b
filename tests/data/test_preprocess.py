"""Preprocessing learns from training pixels alone and is the affine map it says it is."""

import json
from typing import Any

import numpy as np
import pytest
from watched import Watched

from hyperseg.core import Scene, SceneError, SettingError, Split
from hyperseg.data.fingerprint import fingerprint
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra, principal_components, row_blocks


@pytest.fixture
def spectra() -> np.ndarray:
    rng = np.random.default_rng(3)
    mixed = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 12))
    return (mixed + 0.1 * rng.normal(size=(60, 12)) + 5.0).astype(np.float32)


def make_scene(cube: np.ndarray, seed: int = 0) -> tuple[Scene, Split]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, cube.shape[:-1]).astype(np.int16)
    train = (labels >= 0) & (rng.random(labels.shape) < 0.4)
    split = Split(train, np.zeros_like(train), (labels >= 0) & ~train, how="test", seed=seed)
    return Scene(cube, labels=labels, classes=("a", "b")), split


def test_statistics_ignore_every_pixel_outside_training() -> None:
    cube = np.random.default_rng(0).normal(size=(9, 7, 6)).astype(np.float32)
    scene, split = make_scene(cube)
    spoiled = cube.copy()
    outside = np.flatnonzero(~split.train)
    spoiled.reshape(-1, 6)[outside[::2]] = np.nan
    spoiled.reshape(-1, 6)[outside[1::2]] = 1e9
    fits = [fit_preprocess(gather_spectra(s, split.train), n_components=3) for s in (scene, scene.with_(cube=spoiled))]
    for name, array in fits[0].to_arrays().items():
        np.testing.assert_array_equal(array, fits[1].to_arrays()[name])


def test_training_spectra_get_mean_zero_and_spread_one(spectra: np.ndarray) -> None:
    z = fit_preprocess(spectra)(spectra)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-5)


def test_large_offset_and_tiny_spread_survive_float32() -> None:
    x = 9000 + np.random.default_rng(1).integers(0, 4, size=(50, 3)).astype(np.uint16)
    z = fit_preprocess(x)(x)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-3)


def test_components_are_orthogonal_and_whiten_training_spectra(spectra: np.ndarray) -> None:
    white, plain = (fit_preprocess(spectra, n_components=4, whiten=w) for w in (True, False))
    np.testing.assert_allclose(plain.components @ plain.components.T, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(np.cov(white(spectra).T, bias=True), np.eye(4), atol=1e-4)
    gram = white.components @ white.components.T
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-5)
    variance = plain(spectra).var(0)
    assert (np.diff(variance) < 0).all()


def test_component_signs_do_not_depend_on_pixel_order(spectra: np.ndarray) -> None:
    a, b = (fit_preprocess(s, n_components=3).components for s in (spectra, spectra[::-1]))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert (a[np.arange(3), np.abs(a).argmax(1)] > 0).all()


def test_all_components_keep_distances(spectra: np.ndarray) -> None:
    z = fit_preprocess(spectra)(spectra)
    p = fit_preprocess(spectra, n_components=12, whiten=False)(spectra)
    np.testing.assert_allclose(np.linalg.norm(z[0] - z, axis=1), np.linalg.norm(p[0] - p, axis=1), rtol=1e-3)


def test_guide_keeps_the_ratio_of_variances(spectra: np.ndarray) -> None:
    guide = principal_components(spectra, 3)(spectra)
    plain = fit_preprocess(spectra, n_components=3, whiten=False)(spectra)
    np.testing.assert_allclose(guide.std(0), plain.std(0) / plain.std(0)[0], rtol=1e-4)
    assert principal_components(spectra[:3], 3).n_out == 2  # three spectra span a plane, not a space


@pytest.mark.parametrize("n_components", [None, 2])
def test_arrays_round_trip(spectra: np.ndarray, n_components: int | None) -> None:
    spectra[:, 4] = 1.0
    pre = fit_preprocess(spectra, n_components=n_components)
    again = Preprocess.from_arrays({k: v.copy() for k, v in pre.to_arrays().items()})
    np.testing.assert_array_equal(pre(spectra), again(spectra))
    assert again.dropped == pre.dropped == {4: "constant on the training pixels"}


def test_dropped_bands_are_named(spectra: np.ndarray) -> None:
    spectra[3, 1] = np.nan
    spectra[5, 2] = np.inf
    spectra[:, 6] = 0.0
    # band 1 is both marked and broken: the mark is the reason a user knows
    pre = fit_preprocess(spectra, good_bands=~np.isin(np.arange(12), [1, 9]))
    assert pre.dropped == {
        1: "marked bad",
        2: "not finite on the training pixels",
        6: "constant on the training pixels",
        9: "marked bad",
    }
    assert pre.n_out == 8


def test_broken_values_elsewhere_become_the_training_mean(spectra: np.ndarray) -> None:
    pre = fit_preprocess(spectra)
    pixel = np.array([np.nan, np.inf, -np.inf, *spectra[0, 3:]], np.float32)
    z = pre(pixel)
    np.testing.assert_array_equal(z[:3], 0)
    np.testing.assert_array_equal(z[3:], pre(spectra[0])[3:])
    assert np.isfinite(fit_preprocess(spectra, n_components=3)(pixel)).all()


def test_integer_cubes_are_not_changed_in_place() -> None:
    cube = np.random.default_rng(0).integers(0, 4000, (4, 5, 6)).astype(np.float32)
    before = cube.copy()
    fit_preprocess(cube.reshape(-1, 6))(cube)
    np.testing.assert_array_equal(cube, before)


def test_unusable_input_is_refused(spectra: np.ndarray) -> None:
    with pytest.raises(SceneError, match=r"none of the 12 bands .* 12 constant"):
        fit_preprocess(spectra[:1])
    with pytest.raises(SceneError, match="12 marked bad"):
        fit_preprocess(spectra, good_bands=np.zeros(12, bool))
    with pytest.raises(SceneError, match="at least 1 pixel"):
        fit_preprocess(spectra[:0])
    with pytest.raises(SettingError, match="determine 1 to 4"):
        fit_preprocess(spectra[:5], n_components=5)
    with pytest.raises(SettingError, match="one per spectrum"):
        fit_preprocess(spectra, whiten_within=np.zeros(8, int))
    with pytest.raises(SceneError, match="fitted on 12"):
        fit_preprocess(spectra)(spectra[:, :5])


def test_lazy_cube_gives_the_same_spectra_and_reads_only_needed_rows() -> None:
    cube = np.random.default_rng(0).normal(size=(40, 5, 6)).astype(np.float32)
    mask = np.zeros((40, 5), bool)
    mask[[4, 4, 30], [1, 3, 0]] = True
    lazy = Watched(cube)
    found = gather_spectra(Scene(lazy), mask, max_bytes=4 * 5 * 6 * 3)
    np.testing.assert_array_equal(found, cube[mask])
    assert lazy.keys == [slice(3, 6), slice(30, 33)]


def test_row_blocks_cover_every_row_once() -> None:
    cube = np.zeros((10, 3, 2), np.float32)
    for budget in (1, 24, 70, 10_000):
        rows = [r for s in row_blocks(cube, max_bytes=budget) for r in range(s.start, s.stop)]
        assert rows == list(range(10))


def test_fingerprint_counts_and_finds_the_noise() -> None:
    ramp = np.linspace(1, 2, 8)  # straight spectra: the ripple is noise alone
    cube = (ramp + 0.05 * np.random.default_rng(0).normal(size=(60, 60, 8))).astype(np.float32)
    cube[..., 7] = np.nan
    scene, split = make_scene(cube)
    found = fingerprint(scene, split)
    assert (found["bands"], found["bands_usable"]) == (8, 7)
    np.testing.assert_allclose(found["band_noise"], 0.05, rtol=0.12)
    assert found["labelled_per_class"]["b"]["train"] == int((scene.labels[split.train] == 1).sum())
    json.dumps(found, allow_nan=False)
    cube[~split.train] = 1e9
    assert fingerprint(scene.with_(cube=cube), split) == found


def test_within_class_whitening_makes_the_spread_inside_classes_round() -> None:
    rng = np.random.default_rng(3)
    mixing, means = rng.normal(size=(6, 6)), 5 * rng.normal(size=(3, 6))
    classes = np.repeat([0, 1, 2], 4000)
    spectra = means[classes] + rng.normal(size=(len(classes), 6)) @ mixing

    def elongation(x: np.ndarray) -> float:
        inside = np.concatenate([x[classes == k] - x[classes == k].mean(0) for k in range(3)])
        values = np.linalg.eigvalsh(np.cov(inside.T))
        return float(values.max() / values.min())

    whitened = fit_preprocess(spectra, whiten_within=classes)
    out = whitened(spectra)
    assert elongation(out) < 0.1 * elongation(fit_preprocess(spectra)(spectra))
    assert out.std() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(whitened.components, whitened.components.T, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"whiten_within": np.arange(60) % 3}, {"n_components": 9}], ids=str)
def test_restore_undoes_the_call(spectra: np.ndarray, options: dict[str, Any]) -> None:
    spectra[:, 4] = 3.0  # constant: dropped as well
    pre = fit_preprocess(spectra, good_bands=~np.isin(np.arange(12), [2, 7]), **options)
    again = pre.restore(pre(spectra).reshape(6, 10, -1))
    assert (again.shape, again.dtype) == ((6, 10, 12), np.float32)
    assert np.flatnonzero(np.isnan(again).all((0, 1))).tolist() == [2, 4, 7] == list(pre.dropped)
    np.testing.assert_allclose(again.reshape(60, 12)[:, pre.keep], spectra[:, pre.keep], atol=1e-4)
    # a generated feature vector is nobody's pixel: the call undoes restoring it, too
    made = np.random.default_rng(0).normal(size=(5, pre.n_out)).astype(np.float32)
    np.testing.assert_allclose(pre(pre.restore(made)), made, atol=1e-4)


@pytest.mark.parametrize("whiten", [True, False])
def test_restore_gives_the_nearest_spectrum_where_components_are_missing(spectra: np.ndarray, whiten: bool) -> None:
    pre = fit_preprocess(spectra, n_components=3, whiten=whiten)
    features = pre(spectra)
    again = pre.restore(features)
    np.testing.assert_allclose(pre(again), features, atol=1e-4)
    # in standardised bands what is lost is at right angles to every component: nothing nearer can be made
    lost = (spectra - again) / pre.std
    np.testing.assert_allclose(lost @ pre.components.T, 0, atol=1e-4)
    assert np.linalg.norm(lost, axis=1).min() > 1e-3
    shifted = pre.restore(features + np.float32([0.05, 0, -0.05]))
    nearer = np.linalg.norm(lost, axis=1) < np.linalg.norm((spectra - shifted) / pre.std, axis=1)
    assert nearer.all()


@pytest.mark.parametrize("averaged", [2, 3, 7, 100])
def test_averaged_bands_are_means_of_neighbours(spectra: np.ndarray, averaged: int) -> None:
    plain, made = fit_preprocess(spectra), fit_preprocess(spectra, averaged=averaged)
    parts = np.array_split(plain(spectra), max(round(plain.n_out / averaged), 1), axis=1)
    np.testing.assert_allclose(made(spectra), np.stack([part.mean(1) for part in parts], 1), atol=1e-5)


def test_averaged_bands_are_whitened_within_classes() -> None:
    """As if the means of standardised bands had been the bands."""
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 40)
    x = random.normal(size=(120, 12)) @ random.normal(size=(12, 12)) + 5 * classes[:, None]
    z = fit_preprocess(x)(x).astype(np.float64)
    means = np.stack([part.mean(1) for part in np.array_split(z, 4, axis=1)], 1)
    residuals = fit_preprocess(x, whiten_within=classes, averaged=3)(x)
    residuals = np.concatenate([residuals[classes == k] - residuals[classes == k].mean(0) for k in range(3)])
    spread = np.cov(residuals.T)
    before = np.cov(np.concatenate([means[classes == k] - means[classes == k].mean(0) for k in range(3)]).T)
    assert spread.shape == (4, 4)
    assert np.linalg.cond(spread) < 0.5 * np.linalg.cond(before)


def test_one_band_a_group_changes_no_byte(spectra: np.ndarray) -> None:
    classes = np.arange(len(spectra)) % 3
    first, second = (fit_preprocess(spectra, whiten_within=classes, **more)(spectra) for more in ({}, {"averaged": 1}))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("more", [{"averaged": 0}, {"averaged": 2, "n_components": 2}])
def test_averages_that_cannot_be_are_refused(spectra: np.ndarray, more: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="averaged"):
        fit_preprocess(spectra, **more)
