"""Simulated scenes are what the options say: limits without noise, conservation, measured noise, seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from hyperseg.core import DataFileError, LabelError, SceneError, SettingError
from hyperseg.simulated.render import simulate, smooth_fields
from hyperseg.simulated.scenes import potts_labels, simulate_pavia_university, toy_scene
from hyperseg.simulated.spectra import ClassSpectra, fit_class_spectra, make_up_spectra, snr_profile

PLAIN: dict[str, Any] = {
    "psf_sigma_px": 0.0, "variability": 0.0, "illumination_std": 0.0, "gradient_std": 0.0, "noise_snr": np.inf,
}  # fmt: skip


@pytest.fixture
def spectra() -> ClassSpectra:
    return make_up_spectra(3, 20, seed=0)


@pytest.fixture
def labels() -> np.ndarray:
    """Three bands of rows with an unlabelled gap between the first two."""
    labels = np.zeros((36, 30), np.int16)
    labels[10:14], labels[14:26], labels[26:] = -1, 1, 2
    return labels


def test_without_any_disturbance_a_pixel_is_its_class_mean(labels: np.ndarray, spectra: ClassSpectra) -> None:
    cube = simulate(labels, spectra, seed=0, **PLAIN).scene.cube
    known = labels >= 0
    np.testing.assert_array_equal(cube[known], spectra.mean[labels[known]])
    np.testing.assert_array_equal(cube[10], cube[0])  # the gap is covered by the nearer class
    np.testing.assert_array_equal(cube[13], cube[14])


def test_mixed_cover_is_the_mean_of_the_class_means(labels: np.ndarray, spectra: ClassSpectra) -> None:
    found = simulate(labels, spectra, seed=0, background="mixed", **PLAIN)
    np.testing.assert_allclose(found.scene.cube[11], np.tile(spectra.mean.mean(0), (30, 1)), rtol=1e-5)
    assert (found.materials, found.scene.classes) == ((*spectra.names, "background"), spectra.names)
    assert found.abundances.shape == (36, 30, 4)


def test_abundances_sum_to_one_and_are_pure_beyond_the_psf(labels: np.ndarray, spectra: ClassSpectra) -> None:
    found = simulate(labels, spectra, seed=0, psf_sigma_px=1.0)
    np.testing.assert_allclose(found.abundances.sum(-1), 1, atol=1e-6)
    cover = np.where(labels < 0, np.repeat([0, 1], [12, 24])[:, None], labels)
    deep = ndimage.minimum_filter(cover, 7) == ndimage.maximum_filter(cover, 7)
    assert set(cover[deep]) == {0, 1, 2}
    np.testing.assert_array_equal(found.abundances[deep], np.eye(3)[cover[deep]])
    edge = found.abundances[25]
    assert ((edge[:, 1] > 0.5) & (edge[:, 2] > 0.1)).all()


def test_psf_moves_no_mass(spectra: ClassSpectra) -> None:
    labels = potts_labels((40, 33), 3, seed=2)
    blurred = simulate(labels, spectra, seed=0, psf_sigma_px=1.5).abundances
    np.testing.assert_allclose(blurred.sum((0, 1)), np.bincount(labels.ravel()), rtol=1e-4)
    assert blurred.std() < simulate(labels, spectra, seed=0, psf_sigma_px=0.0).abundances.std()


def test_a_mixed_pixel_is_the_weighted_mean_under_an_illumination_constant_per_parcel(spectra: ClassSpectra) -> None:
    labels = potts_labels((40, 33), 3, seed=2, unlabelled=0.2)
    found = simulate(labels, spectra, seed=0, **{**PLAIN, "psf_sigma_px": 1.0, "illumination_std": 0.3})
    values = []
    for k in range(3):
        parcels, n = ndimage.label(labels == k, structure=np.ones((3, 3)))
        for p in range(1, n + 1):
            inside = found.illumination[parcels == p]
            assert np.ptp(inside) == 0
            values.append(inside[0])
    assert len(np.unique(values)) == len(values) > 3
    mixed = found.illumination[..., None] * found.abundances @ spectra.mean
    np.testing.assert_allclose(found.scene.cube, mixed, rtol=1e-5)


def test_class_pixels_follow_the_class_distribution() -> None:
    spectra = make_up_spectra(1, 12, seed=0, spread=0.03)
    options = {**PLAIN, "variability": 2.0, "parcel_share": 0.0, "smooth_share": 0.5, "smooth_px": 2.0}
    cube = simulate(np.zeros((200, 200), int), spectra, seed=0, **options).scene.cube
    pixels = cube.reshape(-1, 12).astype(np.float64)
    np.testing.assert_allclose(pixels.mean(0), spectra.mean[0], rtol=0.01)
    expected = 4 * spectra.covariance()[0]
    np.testing.assert_allclose(np.cov(pixels.T), expected, atol=0.06 * expected.max())


def test_parcel_share_one_makes_parcels_uniform_up_to_the_residual(spectra: ClassSpectra) -> None:
    options = {**PLAIN, "variability": 1.0, "parcel_share": 1.0, "smooth_share": 0.0}
    flat = ClassSpectra(spectra.names, spectra.wavelengths_nm, spectra.mean, spectra.factors, 0 * spectra.residual_std)
    labels = np.zeros((9, 21), int)
    labels[:, 10] = 1  # two parcels of class 0
    cube = simulate(labels, flat, seed=0, **options).scene.cube
    assert np.ptp(cube[:, :10], axis=(0, 1)).max() < 1e-6
    assert np.abs(cube[0, 0] - cube[0, 20]).max() > 1e-3


def test_smooth_fields_have_unit_variance_and_the_asked_length() -> None:
    fields = smooth_fields(20, (90, 80), 3.0, np.random.default_rng(0))
    assert fields.var() == pytest.approx(1, rel=0.1)
    neighbours = (fields[:, 1:] * fields[:, :-1]).mean()
    assert neighbours == pytest.approx(np.exp(-1 / (4 * 3.0**2)), abs=0.02)


def test_same_seed_same_bytes_other_seed_other_scene(labels: np.ndarray, spectra: ClassSpectra) -> None:
    a, b, c = (simulate(labels, spectra, seed=s).scene.cube for s in (0, 0, 1))
    assert a.tobytes() == b.tobytes()
    assert np.abs(a - c).min() < np.abs(a - c).max()
    assert (a != c).mean() > 0.99


@pytest.mark.parametrize("profile", [False, True])
def test_measured_noise_is_the_noise_asked_for(profile: bool) -> None:
    spectra = make_up_spectra(3, 20, seed=0)
    labels = potts_labels((60, 60), 3, seed=0)
    snr = snr_profile(spectra.wavelengths_nm, peak=40.0) if profile else np.full(20, 25.0)
    clean, noisy = (simulate(labels, spectra, seed=0, noise_snr=s).scene.cube for s in (np.inf, snr))
    measured = clean.mean((0, 1)) / (noisy - clean).std((0, 1))
    np.testing.assert_allclose(measured, snr, rtol=0.06)


def test_water_bands_are_flagged_and_drown_in_noise(labels: np.ndarray, spectra: ClassSpectra) -> None:
    wet = np.isin(np.arange(20), [7, 8])
    found = simulate(labels, spectra, seed=0, water_bands=wet, **PLAIN)
    np.testing.assert_array_equal(found.scene.good_bands, ~wet)
    water = found.scene.cube[..., wet]
    assert np.abs(water.mean((0, 1))).max() < 0.05 * found.scene.cube[..., ~wet].mean()
    assert (water.std((0, 1)) > water.mean((0, 1))).all()
    dry = simulate(labels, spectra, seed=0, **PLAIN).scene
    np.testing.assert_array_equal(found.scene.cube[..., ~wet], dry.cube[..., ~wet])
    assert dry.good_bands is None
    gone = simulate(labels, spectra, seed=0, water="nan", water_bands=wet, **PLAIN).scene.cube
    np.testing.assert_array_equal(np.isnan(gone).all((0, 1)), wet)


def test_labels_stay_and_the_name_says_simulated(labels: np.ndarray, spectra: ClassSpectra) -> None:
    before = labels.copy()
    found = simulate(labels, spectra, seed=0, name="meadow", source="a drawing")
    np.testing.assert_array_equal(found.scene.labels, before)
    np.testing.assert_array_equal(labels, before)
    assert found.scene.name == "simulated-meadow"
    assert simulate(labels, spectra, seed=0, name="simulated-meadow").scene.name == "simulated-meadow"
    assert found.scene.source == "simulated from a drawing, made-up smooth spectra"
    assert len(found.scene.colours) == 3


def test_options_outside_their_range_are_refused(labels: np.ndarray, spectra: ClassSpectra) -> None:
    shares = {"parcel_share": 0.8, "smooth_share": 0.4}
    for bad in ({"noise_snr": 0.0}, shares, {"background": "sea"}, {"water": "ice"}):
        with pytest.raises(SettingError):
            simulate(labels, spectra, seed=0, **bad)
    for wrong in (labels + 1, np.full((4, 4), -1), labels.astype(float), labels[0]):
        with pytest.raises(LabelError):
            simulate(wrong, spectra, seed=0)


def test_fitted_classes_give_back_mean_and_covariance() -> None:
    truth = make_up_spectra(2, 8, seed=3)
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 4000)
    x = np.stack([rng.multivariate_normal(truth.mean[k], truth.covariance()[k]) for k in y])
    found = fit_class_spectra(x, y, names=("a", "b"), wavelengths_nm=truth.wavelengths_nm, rank=8)
    np.testing.assert_allclose(found.mean, truth.mean, rtol=0.01)
    np.testing.assert_allclose(found.covariance(), truth.covariance(), atol=0.05 * truth.covariance().max())
    low = fit_class_spectra(x, y, names=("a", "b"), wavelengths_nm=truth.wavelengths_nm, rank=1)
    diagonals = (np.diagonal(fit.covariance(), axis1=1, axis2=2) for fit in (low, found))
    np.testing.assert_allclose(*diagonals, rtol=1e-3)  # kept whatever the rank


def test_a_class_of_one_pixel_borrows_relative_variability() -> None:
    rng = np.random.default_rng(0)
    level = np.linspace(1, 2, 6)
    x = np.vstack([level * (1 + 0.1 * rng.normal(size=(500, 1))), 3 * level])
    y = np.repeat([0, 1], [500, 1])
    found = fit_class_spectra(x, y, names=("many", "one"), wavelengths_nm=np.arange(6), rank=1)
    spread = np.sqrt(np.diagonal(found.covariance(), axis1=1, axis2=2))
    np.testing.assert_allclose(spread[1] / (3 * level), 0.1, rtol=0.1)
    with pytest.raises(LabelError, match="lost"):
        fit_class_spectra(x, y, names=("many", "one", "lost"), wavelengths_nm=np.arange(6))
    with pytest.raises(SceneError, match="do not fit"):
        ClassSpectra(("a",), np.arange(6), found.mean, found.factors, found.residual_std)


def test_potts_labels_are_balanced_smooth_and_unlabelled_at_the_edges() -> None:
    labels = potts_labels((50, 60), 4, seed=0, unlabelled=0.1)
    assert (labels < 0).mean() == pytest.approx(0.1, abs=0.001)
    area = np.bincount(labels[labels >= 0], minlength=4) / 2700
    assert area.min() > 0.15
    whole = potts_labels((50, 60), 4, seed=0)
    assert (whole[1:] == whole[:-1]).mean() > 0.8  # against 0.25 for independent pixels
    edge = ndimage.maximum_filter(whole, 3) != ndimage.minimum_filter(whole, 3)
    assert edge[labels < 0].mean() > 0.95 > 1.5 * edge.mean()
    with pytest.raises(SettingError):
        potts_labels((2, 2), 5, seed=0)


def test_toy_scenes_are_usable_for_every_seed() -> None:
    for seed in range(12):
        scene = toy_scene(seed=seed)
        assert scene.cube.shape == (32, 28, 20)
        assert np.isfinite(scene.cube).all()
        assert scene.class_counts().min() >= 60
        assert scene.name == "simulated-toy"
    assert toy_scene(shape=(9, 8), n_bands=5, n_classes=2).n_classes == 2


def test_pavia_university_stand_in(shared_data: Path) -> None:
    found = simulate_pavia_university(shared_data, seed=0)
    scene = found.scene
    assert (scene.cube.shape, scene.cube.dtype) == ((610, 340, 103), np.float32)
    assert scene.class_counts().tolist() == [6631, 18649, 2099, 3064, 1345, 5029, 1330, 3682, 947]
    assert scene.name == "simulated-pavia-university"
    assert scene.source.startswith("simulated from")
    assert np.isfinite(scene.cube).all()
    mean = np.stack([scene.cube[scene.labels == k].mean(0) for k in range(9)])
    nir, red = mean[:, -1], mean[:, np.abs(scene.wavelengths_nm - 670).argmin()]
    assert (nir[[1, 3]] > 1.5 * red[[1, 3]]).all()  # meadows and trees have the red edge
    assert (mean.mean(1).argmin(), mean.mean(1).argmax()) == (8, 4)  # shadows are darkest, painted metal is brightest


def test_absent_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="toy_scene"):
        simulate_pavia_university(tmp_path)
