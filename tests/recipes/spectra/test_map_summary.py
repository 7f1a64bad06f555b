"""What is said of a map of strange spectra: the verdict, peaks that are named, shares of the score, dropped bands."""

from types import SimpleNamespace

import numpy as np
import pytest

from hyperseg.core import Scene, SettingError
from hyperseg.recipes.spectra.pictures import broken
from hyperseg.recipes.spectra.pixels import drop_bands
from hyperseg.recipes.spectra.scoring import score_scene
from hyperseg.recipes.spectra.summary import separate_peaks, shares, verdict


def test_a_small_difference_is_no_difference():
    assert verdict(0.910, 0.911) == "no more than"
    assert verdict(0.93, 0.91) == "more than"
    assert verdict(0.90, 0.91) == "less than"
    assert "cannot" in verdict(float("nan"), 0.9)


def test_peaks_are_no_neighbours_in_the_file_nor_in_wavelength():
    surprise = np.zeros(100)
    surprise[[40, 41, 43, 70, 10]] = [-9, 8, 7, 6, 5]
    surprise[20] = np.nan
    nm = 400.0 + 10 * np.arange(100)
    assert separate_peaks(surprise, most=3) == [40, 70, 10]
    nm[70] = nm[40] + 2  # another detector sees the same light
    assert separate_peaks(surprise, nm, most=2) == [40, 10]
    assert 20 not in separate_peaks(surprise, most=50)


def test_shares_of_a_score_that_is_half_network_by_variance():
    run = SimpleNamespace(model=SimpleNamespace(whitening=SimpleNamespace(bits=lambda nats: nats)))
    rng = np.random.default_rng(0)
    gaussian, network = rng.normal(size=(2, 100, 100)) * [[[1.0]], [[np.sqrt(3)]]]
    thin = np.stack([gaussian + network, 2 * gaussian], -1)
    thin[0, 0] = np.nan
    found = shares(run, thin)
    assert found["gaussian"] == pytest.approx(0.25, abs=0.02)
    assert found["gaussian"] + found["network"] == 1
    assert shares(run, np.full((3, 3, 2), 2.0)) is None


def test_lines_break_where_bands_are_missing_and_where_a_detector_ends():
    x = np.array([400, 410, 420, 500, 510, 505, 515.0])
    at, value = broken(x, np.arange(7))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(value)), [3, 6])
    np.testing.assert_array_equal(at[np.isfinite(at)], x)


def test_bands_are_dropped_by_wavelength(toy):
    nm = 400.4 + 10 * np.arange(toy.n_bands)
    known = toy.with_(wavelengths_nm=nm, good_bands=None)
    bad = ~drop_bands(known, "400, 430-450").good_bands
    np.testing.assert_array_equal(np.flatnonzero(bad), [0, 3, 4, 5])
    for wrong, why in (("x", "list such as"), ("405", "no band at 405"), ("500-400", "no band")):
        with pytest.raises(SettingError, match=why):
            drop_bands(known, wrong)
    with pytest.raises(SettingError, match="no wavelengths"):
        drop_bands(toy.with_(wavelengths_nm=None), "400")


def test_progress_is_told_from_the_start_and_within_a_window():
    cube = np.random.default_rng(0).normal(size=(100, 100, 2)).astype(np.float32)
    told, maps = [], []
    model = SimpleNamespace(score=lambda spectra: (spectra[:, 0], spectra[:, 1]))
    score_scene(
        model, Scene(cube), write=lambda window, bits, distance: maps.append((bits, distance)),
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[0] == (0, 10_000)
    assert told[-1] == (10_000, 10_000)
    assert any(0 < done < 10_000 for done, _ in told)
    np.testing.assert_array_equal(np.stack(maps[0], -1), cube)
