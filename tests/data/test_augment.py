"""Spectral noise: nothing where nothing is asked for, else the spreads that were asked for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.data.augment import SpectralNoise, illuminated, slow_curves
from hyperseg.data.preprocess import fit_preprocess

B, L = 4000, 30


def zeros() -> Tensor:
    return torch.zeros(B, 1, L, 3, 3)


def disturb(noise: SpectralNoise, x: Tensor, seed: int = 0) -> Tensor:
    return noise(x, torch.Generator().manual_seed(seed))


def test_zero_spreads_change_nothing() -> None:
    x = torch.randn(3, 1, 5, 3, 3)
    before = x.clone()
    assert torch.equal(disturb(SpectralNoise(), x), before)
    disturb(SpectralNoise(gain=1, offset=1, drift=1, noise=1), x)
    assert torch.equal(x, before)  # the source's patches are never written to


@pytest.mark.parametrize("name", ["gain", "offset", "drift", "noise"])
def test_spreads_are_those_asked_for(name: str) -> None:
    x = zeros() + (1.0 if name == "gain" else 0.0)
    change = disturb(SpectralNoise(**{name: 0.3}), x) - x
    per_band = change.transpose(1, 2).flatten(2)[:, :, 0].std(0)
    torch.testing.assert_close(per_band, torch.full((L,), 0.3), rtol=0.06, atol=0)
    assert change.mean().abs() < 0.02
    constant = bool((change == change[..., :1, :1]).all())
    assert constant == (name != "noise")  # one draw per patch


def test_gain_is_a_factor_and_offset_a_shift_common_to_all_bands() -> None:
    x = torch.randn(5, 1, L, 3, 3)
    factor = disturb(SpectralNoise(gain=0.5), x) / x
    shift = disturb(SpectralNoise(offset=0.5), x) - x
    for common in (factor, shift):
        torch.testing.assert_close(common, common[:, :, :1, :1, :1].expand_as(x), rtol=1e-4, atol=1e-5)
        assert len(common[:, 0, 0, 0, 0].unique()) == 5


def test_drift_is_slow_along_the_bands() -> None:
    drift = disturb(SpectralNoise(drift=1.0, knots=6), zeros())[:, 0, :, 0, 0]
    steps = drift.diff(dim=1).pow(2).mean().sqrt()
    assert steps < 0.35  # white noise of the same spread has sqrt(2)
    correlation = torch.corrcoef(drift.T)
    assert correlation.diagonal(1).min() > 0.9
    assert correlation[0, -1].abs() < 0.1  # and the ends of the spectrum know nothing of each other


@pytest.mark.parametrize(("knots", "bands"), [(1, 4), (2, 2), (8, 200), (8, 3), (5, 1)])
def test_every_band_drifts_alike(knots: int, bands: int) -> None:
    curves = slow_curves(knots, bands)
    assert curves.shape == (knots, bands)
    torch.testing.assert_close(curves.pow(2).sum(0), torch.ones_like(curves[0]))
    if knots == 1:
        assert (curves == 1).all()


def test_disturbances_add_up_independently() -> None:
    both = disturb(SpectralNoise(offset=0.3, noise=0.4), zeros())
    assert both.std().item() == pytest.approx(0.5, rel=0.05)


def test_the_generator_decides() -> None:
    noise, x = SpectralNoise(gain=0.1, offset=0.1, drift=0.1, noise=0.1), torch.randn(4, 1, L, 3, 3)
    assert torch.equal(disturb(noise, x), disturb(noise, x))
    assert not torch.equal(disturb(noise, x), disturb(noise, x, seed=1))
    before = torch.get_rng_state()
    disturb(noise, x)
    assert torch.equal(torch.get_rng_state(), before)
    assert disturb(noise, x.double()).dtype == torch.float64


def test_another_sun_is_a_factor_on_raw_values() -> None:
    """On preprocessed values it must come to what the same factor on raw values would."""
    random = np.random.default_rng(0)
    spectra, classes = random.normal(50, 5, (200, 6)), random.integers(0, 3, 200)
    preprocess = fit_preprocess(spectra, whiten_within=classes)
    raw = random.normal(50, 5, (40, 3, 3, 6)).astype(np.float32)
    patches = torch.from_numpy(preprocess(raw)).permute(0, 3, 1, 2)[:, None]
    dark = torch.from_numpy(preprocess(np.zeros(6, np.float32)))
    made = illuminated(patches, dark, spread=0.2, generator=torch.Generator().manual_seed(3))
    factors = (0.2 * torch.randn(40, generator=torch.Generator().manual_seed(3))).exp().numpy()
    expected = preprocess(raw * factors[:, None, None, None])
    np.testing.assert_allclose(made[:, 0].permute(0, 2, 3, 1), expected, atol=1e-3)
    assert 0.15 < np.log(factors).std() < 0.25
    assert illuminated(patches, dark, spread=0) is patches


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"gain": -0.1}, "gain is 0 or more"),
        ({"noise": np.nan}, "noise is a finite number"),
        ({"knots": 0}, "knots is 1 or more"),
    ],
)
def test_impossible_spreads_are_refused(bad: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        SpectralNoise(**bad)
