"""ACE, the matched filter and a detector's channels: closed forms, the package they come from, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import spectral

from hyperseg.core import Scene, SceneError
from hyperseg.recipes.detection.scene.background import background_cautions, fit_background
from hyperseg.recipes.detection.scene.local import INNER, OUTER, fit_local, ring_mean
from hyperseg.recipes.detection.scene.spectrum import Target

RNG = np.random.default_rng(5)
MIX = RNG.normal(0, 1, (6, 6))
CUBE = (RNG.normal(0, 1, (40, 36, 6)) @ MIX + 20).astype(np.float64)
SCENE = Scene(CUBE, name="made")
TARGET = Target(np.linspace(18, 26, 6), "a ramp")
BACKGROUND = fit_background(SCENE, TARGET, components=4)


def stats() -> tuple[np.ndarray, np.ndarray]:
    rows = CUBE.reshape(-1, 6)
    return rows.mean(0), np.cov(rows.T, bias=True)


def test_ace_and_the_filter_are_their_closed_forms() -> None:
    mean, cov = stats()
    inverse = np.linalg.inv(cov)
    s, x = TARGET.spectrum - mean, CUBE - mean
    along = x @ inverse @ s
    ace = along**2 / ((s @ inverse @ s) * np.einsum("...i,ij,...j", x, inverse, x))
    np.testing.assert_allclose(BACKGROUND.ace(CUBE), ace, rtol=2e-4, atol=1e-4)
    np.testing.assert_allclose(BACKGROUND.matched(CUBE), along / (s @ inverse @ s), rtol=2e-4, atol=1e-4)
    np.testing.assert_allclose(BACKGROUND.signed_ace(CUBE), ace * np.sign(along), rtol=2e-4, atol=1e-4)


def test_ace_is_that_of_the_package_on_the_raw_cube() -> None:
    mean, cov = stats()
    given = spectral.GaussianStats(mean=mean, cov=cov, nsamples=CUBE[..., 0].size)
    np.testing.assert_allclose(
        BACKGROUND.ace(CUBE), spectral.ace(CUBE, TARGET.spectrum, background=given), rtol=2e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        BACKGROUND.matched(CUBE), spectral.matched_filter(CUBE, TARGET.spectrum, given), rtol=2e-4, atol=1e-4
    )


def test_the_target_itself_scores_one_and_the_mean_of_the_background_nothing() -> None:
    mean, _ = stats()
    for scored in (BACKGROUND.ace, BACKGROUND.matched):
        assert scored(TARGET.spectrum[None])[0] == pytest.approx(1, abs=1e-4)
    assert BACKGROUND.matched(mean[None])[0] == pytest.approx(0, abs=1e-4)
    half = (mean + TARGET.spectrum) / 2
    assert BACKGROUND.ace(half[None])[0] == pytest.approx(1, abs=1e-4)  # blind to the share
    assert BACKGROUND.matched(half[None])[0] == pytest.approx(0.5, abs=1e-4)  # which the filter measures


def test_ace_of_surroundings_is_that_of_the_package_away_from_the_border() -> None:
    local = fit_local(SCENE, BACKGROUND)
    y = BACKGROUND.whitening(CUBE)
    cov = np.linalg.inv(local.matrix.T @ local.matrix)
    theirs = spectral.ace(y, BACKGROUND.whitened_target, window=(INNER, OUTER), cov=cov)
    inner = (slice(OUTER // 2, -(OUTER // 2)),) * 2
    np.testing.assert_allclose(np.abs(local.signed_ace(CUBE))[inner], theirs[inner], rtol=1e-4, atol=1e-6)


def test_the_mean_of_a_ring_is_that_of_its_pixels() -> None:
    y = BACKGROUND.whitening(CUBE)
    square = y[20 - 10 : 20 + 11, 18 - 10 : 18 + 11].copy()
    square[8:13, 8:13] = np.nan
    np.testing.assert_allclose(ring_mean(y)[20, 18], np.nanmean(square, axis=(0, 1)))


def test_channels_hold_what_the_target_stands_out_by_most_and_ace_last() -> None:
    made = BACKGROUND.channels(CUBE, with_ace=True)
    assert made.shape == (40, 36, 5)
    np.testing.assert_array_equal(made[..., :4], BACKGROUND.channels(CUBE, with_ace=False))
    cosine = np.sinh(made[..., 4]) / np.sqrt(6)
    np.testing.assert_allclose(np.sign(cosine) * cosine**2, BACKGROUND.signed_ace(CUBE), rtol=1e-3, atol=1e-5)
    left = np.setdiff1d(np.arange(6), BACKGROUND.components)
    size = np.abs(BACKGROUND.whitened_target)
    assert size[left].max() <= size[BACKGROUND.components].min()
    assert 0 < BACKGROUND.held <= 1


def test_what_looks_like_the_background_is_told() -> None:
    mean, _ = stats()
    hidden = fit_background(SCENE, Target(mean + 0.01, "the mean"), components=6)
    assert any("looks like the background" in word for word in background_cautions(hidden, SCENE))
    assert not background_cautions(BACKGROUND, SCENE) or BACKGROUND.contrast < 2


def test_fewer_pixels_than_bands_are_refused() -> None:
    small = Scene(RNG.normal(0, 1, (9, 8, 80)), name="small")
    with pytest.raises(SceneError, match="more pixels than bands"):
        fit_background(small, Target(np.ones(80), "ones"), components=4)
