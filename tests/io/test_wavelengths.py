"""Wavelengths: any unit means the same light; a unit that contradicts its numbers is not believed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from written import CUBE, write_envi, write_tiff

from hyperseg.core import SettingError
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.read import read_scene
from hyperseg.io.wavelengths import Centres, centres_in

NM = np.linspace(450, 2350, 12)


@pytest.mark.parametrize(
    ("unit", "of"),
    [
        ("Nanometers", lambda nm: nm), ("nm", lambda nm: nm), ("Micrometers", lambda nm: nm / 1e3),
        ("µm", lambda nm: nm / 1e3), ("um", lambda nm: nm / 1e3), ("Angstroms", lambda nm: nm * 10),
        ("Å", lambda nm: nm * 10), ("Wavenumber", lambda nm: 1e7 / nm), ("cm-1", lambda nm: 1e7 / nm),
        ("cm^-1", lambda nm: 1e7 / nm), ("Meters", lambda nm: nm / 1e9), ("Millimeters", lambda nm: nm / 1e6),
        (None, lambda nm: nm), ("Unknown", lambda nm: nm / 1e3),
    ],
)  # fmt: skip
def test_every_unit_is_the_same_light(unit: str | None, of: object) -> None:
    found = Centres(of(NM), unit)  # type: ignore[operator]
    np.testing.assert_allclose(found.in_nm(), NM)
    assert found.doubt() is None


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (NM, "Micrometers"), (NM / 1e3, "Nanometers"), (NM, "GHz"), (NM, "Index"), (np.arange(1.0, 13), None),
        (np.arange(12.0), "nm"), (NM, "Angstroms"), (np.r_[NM[:-1], np.nan], "nm"), (-NM, "nm"), (np.zeros(0), "nm"),
        (NM * 1e5, None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_not_used(values: np.ndarray, unit: str | None) -> None:
    assert Centres(values, unit).in_nm() is None
    assert Centres(values, unit).doubt()


def test_a_contradiction_is_said_and_the_user_settles_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = ", ".join(map(str, NM))
    path = write_envi(tmp_path, CUBE, "bsq", f"wavelength units = Micrometers\nwavelength = {{{listed}}}\n")
    assert read_scene(path).wavelengths_nm is None
    assert "wavelengths of 450 to 2350 Micrometers cannot be" in caplog.text
    assert "--wavelength-unit" in caplog.text
    caplog.clear()
    settled = read_scene(path, options=CubeOptions(wavelength_unit="nm"))
    np.testing.assert_allclose(settled.wavelengths_nm, NM)
    assert "cannot be" not in caplog.text
    with pytest.raises(SettingError, match=r"wavelength_unit um.*450 to 2350"):
        read_scene(path, options=CubeOptions(wavelength_unit="um"))
    with pytest.raises(SettingError, match="lists no wavelengths"):
        read_scene(write_tiff(tmp_path / "plain.tif", CUBE), options=CubeOptions(wavelength_unit="um"))


@pytest.mark.parametrize(
    "name",
    [
        "{:.2f} nm", "band ({:.2f} Nanometers)", "Band 7: {:.1f}nm", "{:.3f}", "wl_{:.1f}", "R {:.1f} nm FWHM 9.5 nm",
        "FWHM 10 nm at {:.1f} nm", "B1 {:.0f} NM",
    ],
)  # fmt: skip
def test_names_of_bands_that_tell(name: str) -> None:
    found = centres_in([name.format(v) for v in NM])
    assert found is not None
    np.testing.assert_allclose(found.in_nm(), NM, atol=0.5)


def test_names_of_bands_that_do_not_tell() -> None:
    np.testing.assert_allclose(centres_in(["0.43-0.45 um", "0.45 - 0.51 um"]).in_nm(), [440, 480])  # type: ignore[union-attr]
    for names in (["Band 1", "Band 2"], ["1", "2", "3"], ["450 nm", "red"], ["450 nm", "0.5 um"], [None, None], []):
        assert centres_in(names) is None  # type: ignore[arg-type]


def test_band_names_of_envi_and_descriptions_of_geotiff(tmp_path: Path) -> None:
    names = [f"band {i} ({v / 1e3:.4f} Micrometers)" for i, v in enumerate(NM)]
    header = write_envi(tmp_path, CUBE, "bsq", f"band names = {{{', '.join(names)}}}\n")
    tiff = write_tiff(tmp_path / "scene.tif", CUBE)
    with rasterio.open(tiff, "r+") as file:
        for i, name in enumerate(names, start=1):
            file.set_band_description(i, name)
    for path in (header, tiff):
        np.testing.assert_allclose(read_scene(path).wavelengths_nm, NM, atol=0.1)


def test_widths_are_no_centres(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    np.savez(tmp_path / "cube.npz", cube=CUBE, fwhm=np.full(12, 10.0), wavelength=NM)
    np.testing.assert_allclose(read_scene(tmp_path / "cube.npz").wavelengths_nm, NM)
    np.savez(tmp_path / "cube.npz", cube=CUBE, fwhm=np.full(12, 10.0))
    assert read_scene(tmp_path / "cube.npz").wavelengths_nm is None
