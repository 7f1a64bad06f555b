"""ENVI: every real type, interleave, byte order and offset gives the same numbers; headers say the rest."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import write_envi

from hyperseg.core import DataFileError
from hyperseg.io.formats.envi_header import DATA_TYPES
from hyperseg.io.read import open_array, read_array, read_scene

CUBE = np.random.default_rng(0).integers(1, 120, (6, 5, 11))
UTM = (
    'coordinate system string = {PROJCS["WGS_1984_UTM_Zone_11N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",'
    'SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],'
    'PARAMETER["Central_Meridian",-117.0],PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],'
    'UNIT["Meter",1.0]]}\n'
)
MAP = "map info = {UTM, 1, 1, 600000, 3700000, 20, 20, 11, North, WGS-84}\n"


def write(folder: Path, *, code: int = 2, interleave: str = "bsq", **how: Any) -> Path:
    return write_envi(folder, CUBE.astype(DATA_TYPES[code]), interleave, **how)


@pytest.mark.parametrize(("code", "interleave"), list(product(DATA_TYPES, ("bsq", "bil", "bip"))))
def test_every_type_interleave_byte_order_and_offset(tmp_path: Path, code: int, interleave: str) -> None:
    for order, offset in product((0, 1), (0, 37)):
        header = write(tmp_path, code=code, interleave=interleave, order=order, offset=offset, extra=MAP)
        found = open_array(header, ndim=3)
        assert found.array.dtype == np.dtype(DATA_TYPES[code]).newbyteorder("<>"[order])
        np.testing.assert_array_equal(np.asarray(found.array), CUBE)
        np.testing.assert_array_equal(np.asarray(read_scene(header.with_suffix(".img")).cube[2:4]), CUBE[2:4])
        assert found.grid.affine == (20.0, 0.0, 600000.0, 0.0, -20.0, 3700000.0)
        assert found.grid.crs == "EPSG:32611"
        assert found.about == f"ENVI {interleave.upper()}"


def test_what_the_header_says(tmp_path: Path) -> None:
    centres = ", ".join(f"{v:.3f}" for v in np.linspace(0.4, 2.4, 11))
    header = write(
        tmp_path,
        extra=f"wavelength units = Micrometers\nwavelength = {{{centres}}}\nbbl = {{1,1,1,0,1,1,1,1,1,1,0}}\n"
        "data ignore value = -9999\nreflectance scale factor = 10000\ndefault bands = {5, 3, 1}\n" + MAP + UTM,
    )
    data = header.with_suffix(".img").rename(header.with_suffix(""))  # a data file needs no suffix
    for path in (header, data):
        scene = read_scene(path)
        np.testing.assert_allclose(scene.wavelengths_nm, np.linspace(400, 2400, 11))
        assert list(np.flatnonzero(~scene.good_bands)) == [3, 10]
        assert (scene.scale, scene.nodata, scene.rgb_bands) == (10000.0, -9999.0, (4, 2, 0))
        assert (scene.grid.crs, scene.grid.spacing) == ("EPSG:32611", (20.0, 20.0))


def test_emit_example(shared_data: Path) -> None:
    header = shared_data / "hsi" / "emit_envi" / "emit20250324t221005_jpl_unmix_ex.hdr"
    scene = read_scene(header)
    assert isinstance(scene.cube, np.memmap)
    raw = np.fromfile(header.with_suffix(""), np.float32).reshape(10, 285, 10)
    np.testing.assert_array_equal(scene.cube, raw.transpose(0, 2, 1))
    np.testing.assert_array_equal(read_array(header.with_suffix("")), scene.cube)
    assert scene.wavelengths_nm[0] == pytest.approx(381.0055927)
    scene = read_scene(header, scan=False)
    assert (scene.valid, scene.nodata) == (None, -9999)


def test_pixels_at_the_ignore_value_are_out_and_half_a_pixel_is_not(tmp_path: Path) -> None:
    header = write(tmp_path, code=2, interleave="bip", extra="data ignore value = -9999\n")
    data = np.memmap(header.with_suffix(".img"), "<i2", "r+", shape=CUBE.shape)
    data[1, 2] = -9999
    data[4, 0, :5] = -9999
    data.flush()
    valid = read_scene(header).valid
    assert list(map(tuple, np.argwhere(~valid))) == [(1, 2)]


def test_lists_of_another_length_are_left_out_with_a_remark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    header = write(tmp_path, extra="wavelength = {400, 500}\nbbl = {1, 1, 0}\n")
    scene = read_scene(header)
    assert scene.wavelengths_nm is None
    assert "wavelength lists 2 values for 11 bands" in caplog.text
    assert "bbl lists 3 values for 11 bands" in caplog.text


def test_a_few_bytes_too_many_are_remarked_a_line_too_many_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    header = write(tmp_path)
    line = 5 * 11 * 2
    with header.with_suffix(".img").open("ab") as file:
        file.write(b"\0" * (line - 1))
    assert read_scene(header).shape == (6, 5)
    assert f"{line - 1} bytes after the last pixel" in caplog.text
    with header.with_suffix(".img").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataFileError, match=r"bsq\.img: has 770 bytes, 110 more than bsq\.hdr promises"):
        read_scene(header)


def test_a_negative_no_data_of_unsigned_numbers_takes_no_pixel_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = read_scene(write(tmp_path, code=12, extra="data ignore value = -9999\n"))
    assert scene.valid is None
    assert scene.nodata == -9999
    assert "no-data value -9999 is none of uint16" in caplog.text
