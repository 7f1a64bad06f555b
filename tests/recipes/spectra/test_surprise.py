"""The score of spectra: a Gaussian's where the network says a Gaussian's, the true density where that is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction, per_sample
from hyperseg.dpm.likelihood.surprise import beyond_gaussian, make_levels
from hyperseg.metrics.detection import auroc, detection_rate
from hyperseg.recipes.spectra.whitening import Whitening, fit_whitening, reed_xiaoli


@pytest.fixture(scope="module")
def spectra():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(400, 9)) @ rng.normal(size=(9, 9)) + 5).astype(np.float32)


def test_reed_xiaoli_is_the_mahalanobis_distance(spectra):
    away = spectra.astype(np.float64) - spectra.mean(0, dtype=np.float64)
    covariance = away.T @ away / len(away)
    expected = np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(reed_xiaoli(fit_whitening(spectra)(spectra)), expected, rtol=1e-4)


def test_bits_of_the_gaussian_are_its_density(spectra):
    fitted = fit_whitening(spectra)
    standard = fitted.preprocess(spectra).astype(np.float64)
    density = multivariate_normal(standard.mean(0), np.cov(standard.T, bias=True))
    bits = fitted.bits(reed_xiaoli(fitted(spectra)) / 2)
    np.testing.assert_allclose(bits, -density.logpdf(standard) / math.log(2) / 9, rtol=1e-5)


def test_whitening_goes_back_and_is_saved(spectra):
    fitted = fit_whitening(spectra)
    again = Whitening.from_arrays(fitted.to_arrays())
    np.testing.assert_allclose(again.restore(again(spectra)), spectra, atol=1e-4)
    np.testing.assert_array_equal(again(spectra), fitted(spectra))


def test_a_direction_without_spread_counts_where_a_pixel_leaves_it():
    rng = np.random.default_rng(1)
    flat = np.repeat(rng.normal(size=(100, 2)), 2, 1)  # bands 0 and 1 are one, as are 2 and 3
    fitted = fit_whitening(flat)
    apart = flat[:1] + np.array([[0.1, -0.1, 0, 0]])
    assert reed_xiaoli(fitted(apart)) > 100 * reed_xiaoli(fitted(flat)).max()


def test_the_gaussian_s_own_denoiser_adds_nothing():
    def denoise(x, sigma):
        return Prediction(x / (1 + per_sample(sigma, x) ** 2))

    levels = make_levels((3, 1), levels=6, draws=1, low=0.05, high=20, seed=0)
    x = torch.randn(5, 3, 1, dtype=torch.float64)
    assert beyond_gaussian(denoise, x, levels).abs().max() == 0


@pytest.mark.parametrize("spread", [0.5, 0.8])
def test_the_density_of_another_gaussian(spread):
    """N(0, s^2) in 4 dimensions: its -log p less the standard Gaussian's, on average over its samples."""

    def denoise(x, sigma):
        return Prediction(spread**2 / (spread**2 + per_sample(sigma, x) ** 2) * x)

    x = spread * torch.randn(4000, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    square = x.square().sum((1, 2))
    exact = square / 2 / spread**2 + 4 * math.log(spread) - square / 2
    levels = make_levels((4, 1), levels=40, draws=32, low=0.01, high=100, seed=0)
    assert float(beyond_gaussian(denoise, x, levels).mean()) == pytest.approx(float(exact.mean()), abs=0.02)


def test_two_clusters_make_what_lies_between_them_strange():
    """The mixture of N(-.95, .31^2) and N(.95, .31^2) has unit variance; its denoiser is known."""
    narrow, centres = 1 - 0.95**2, torch.tensor([-0.95, 0.95], dtype=torch.float64)

    def denoise(x, sigma):
        level = per_sample(sigma, x)[..., None] ** 2
        away = x[..., None] - centres
        share = (-(away**2) / 2 / (narrow + level)).softmax(-1)
        return Prediction((share * (centres + narrow / (narrow + level) * away)).sum(-1))

    levels = make_levels((1, 1), levels=40, draws=64, low=0.02, high=50, seed=0)
    points = torch.tensor([-1.0, 0.0, 0.95, 1.8], dtype=torch.float64)
    p = torch.exp(-((points[:, None] - centres) ** 2) / 2 / narrow).mean(1) / math.sqrt(2 * math.pi * narrow)
    exact = -p.log() - points**2 / 2 - math.log(2 * math.pi) / 2
    found = beyond_gaussian(denoise, points[:, None, None], levels)
    assert (found - exact).abs().max() < 0.25  # noise of few draws
    assert found[1] > found[2] + 1.5


def test_levels_are_refused_by_name():
    for wrong in ({"levels": 1}, {"draws": 0}, {"low": 3.0, "high": 2.0}):
        with pytest.raises(SettingError, match="2 or more levels"):
            make_levels((2, 1), **({"levels": 4, "draws": 1, "low": 0.1, "high": 10.0, "seed": 0} | wrong))


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    scores, strange = rng.integers(0, 6, 40), rng.random(40) < 0.3
    pairs = scores[strange][:, None] - scores[~strange]
    assert auroc(scores, strange) == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    assert math.isnan(auroc([1.0, 2.0], [True, True]))


def test_detection_rate_is_the_share_above_the_allowed_false_alarms():
    ordinary, strange = np.arange(1000.0), np.array([998.5, 999.0, 999.5, 3.0])
    scores, truth = np.concatenate([ordinary, strange]), np.repeat([False, True], (1000, 4))
    assert detection_rate(scores, truth, false_alarms=1e-3) == 0.75  # one ordinary sample, 999, may pass
    assert detection_rate(scores, truth, false_alarms=1e-4) == 0.25  # none may
    assert detection_rate(scores, truth, false_alarms=1.0) == 1.0
    assert math.isnan(detection_rate([1.0], [True]))
