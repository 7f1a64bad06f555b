"""ENVI headers as they are met: encodings, line ends, odd numbers, odd names; what they say stays the same."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from written import CUBE, write_envi

from hyperseg.core import DataFileError, Grid
from hyperseg.io.read import open_array, read_scene

NM = np.linspace(450, 2300, 12).round(1)
MAP = "map info = {UTM, 1, 1, 600000, 3700000, 20, 20, 11, North, WGS-84, units=Meters}\n"
WAVES = f"wavelength units = Nanometers\nwavelength = {{{', '.join(map(str, NM))}}}\n"
TEXT = "description = { Gemarkung Höhe, Befliegung Süd }\n"


def told(path: Path) -> None:
    scene = read_scene(path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert (scene.grid.crs, scene.grid.affine) == ("EPSG:32611", (20.0, 0.0, 600000.0, 0.0, -20.0, 3700000.0))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    header = write_envi(tmp_path, CUBE, "bsq", MAP + WAVES + TEXT)
    header.write_bytes(header.read_text(encoding="utf-8").replace("\n", end).encode(encoding))
    told(header)
    told(header.with_suffix(".img"))


def edited(folder: Path, *changes: tuple[str, str], extra: str = "") -> Path:
    header = write_envi(folder, CUBE, "bsq", MAP + WAVES + extra)
    text = header.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    header.write_text(text)
    return header


@pytest.mark.parametrize(
    "change",
    [
        ("samples = 5", "SAMPLES=5"),
        ("header offset", "Header  Offset"),
        ("wavelength =", "Wavelength ="),
        ("wavelength =", "wavelengths ="),
        (", 2300.0}", ", 2300.0,\n}"),
        (", 2300.0}", "\n, 2300.0, , }"),
        (", ", " "),
        ("ENVI\n", "ENVI\n; a remark = {\n\n"),
    ],
)
def test_spellings_other_readers_take(tmp_path: Path, change: tuple[str, str]) -> None:
    header = edited(tmp_path, change) if change[0] != ", " else edited(tmp_path)
    if change[0] == ", ":  # no commas in the list of wavelengths
        listed = ", ".join(map(str, NM))
        header.write_text(header.read_text().replace(listed, listed.replace(", ", " ")))
    told(header)


def test_no_byte_order_is_little_endian_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told(edited(tmp_path, ("byte order = 0\n", "")))
    assert "states no byte order; taken to be 0 (little-endian)" in caplog.text


def test_words_for_good_bands_and_windows_nan(tmp_path: Path) -> None:
    marks = ["True"] * 11 + ["False"]
    extra = f"bbl = {{{', '.join(marks)}}}\ndata ignore value = -1.#IND\n"
    scene = read_scene(edited(tmp_path, extra=extra))
    assert list(np.flatnonzero(~scene.good_bands)) == [11]
    for text, value in (("1.#INF", np.inf), ("-1.#QNAN00", np.nan), ("{-9999}", -9999), ("-1.0D+03", -1000)):
        found = open_array(edited(tmp_path, extra=f"data ignore value = {text}\n"), ndim=3)
        assert found.nodata == value or (np.isnan(value) and np.isnan(found.nodata))


def test_odd_names_and_links(tmp_path: Path) -> None:
    header = edited(tmp_path)
    data = header.with_suffix(".img")
    for name in ("bsq.xyz", "bsq_reflectance.r01"):
        told_by = data.rename(tmp_path / name)
        (tmp_path / "bsq.txt").write_text("notes of the flight")
        told(header)  # the only other file of the stem whose size fits
        data = told_by
    data = data.rename(tmp_path / "bsq.xyz")
    told(data)
    told(header.rename(tmp_path / "bsq.xyz.hdr"))
    header = (tmp_path / "bsq.xyz.hdr").rename(tmp_path / "bsq.hdr")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "linked.hdr"
    link.symlink_to(header)
    told(link)
    (tmp_path / "bsq.copy").write_bytes(data.read_bytes())
    with pytest.raises(DataFileError, match=r"bsq\.copy and bsq\.xyz may be the data"):
        read_scene(header)


def test_a_header_of_a_tiff_tells_of_its_bands(tmp_path: Path) -> None:
    from written import write_tiff

    tiff = write_tiff(tmp_path / "bsq.tif", CUBE)
    header = edited(
        tmp_path, ("file type = ENVI Standard", "file type = TIFF"), extra="reflectance scale factor = 1e4\n"
    )
    (tmp_path / "bsq.img").unlink()
    for path in (tiff, header):
        scene = read_scene(path)
        np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
        np.testing.assert_allclose(scene.wavelengths_nm, NM)
        assert (scene.grid.crs, scene.scale) == ("EPSG:32632", 10000.0)
    header.write_text(header.read_text().replace("lines = 7", "lines = 8"))
    assert read_scene(tiff).wavelengths_nm is None


def test_a_plane_without_a_place_has_metres_but_no_crs(tmp_path: Path) -> None:
    plane = "map info = {Arbitrary, 1, 1, 10, 20, 0.5, 0.25, units=Meters}"
    grid = read_scene(edited(tmp_path, (MAP.strip(), plane))).grid
    assert grid == Grid((0.25, 0.5), "m", None, (0.5, 0.0, 10.0, 0.0, -0.25, 20.0))
    grid = read_scene(edited(tmp_path, (MAP.strip(), plane.replace(", units=Meters", "")))).grid
    assert (grid.unit, grid.crs, grid.spacing) == ("px", None, (1.0, 1.0))
    feet = read_scene(edited(tmp_path, (MAP.strip(), plane.replace("Meters", "Feet")))).grid
    assert feet.spacing == pytest.approx((0.25 * 0.3048, 0.5 * 0.3048))


def test_ground_points_alone_are_said_to_be_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    points = "geo points = {1, 1, 45.0, 11.0, 5, 7, 44.9, 11.1}"
    assert read_scene(edited(tmp_path, (MAP.strip(), points))).grid.affine is None
    assert "has geo points but no transform" in caplog.text
