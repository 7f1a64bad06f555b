"""Archives and virtual files are opened or named as what they are; what is no file is refused and never waited for."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg
from written import CUBE, write_any, write_envi, write_tiff

from hyperseg.core import DataFileError
from hyperseg.io.paths import for_gdal, split_key
from hyperseg.io.read import read_array, read_scene


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "s.tif", CUBE)
    with zipfile.ZipFile("s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write("s.tif", "flight/s.tif")
        archive.writestr("readme.txt", "notes")
    with tarfile.open("s.tar.gz", "w:gz") as archive:
        archive.add("s.tif")
    return tmp_path


def test_a_raster_in_an_archive(packed: Path) -> None:
    names = ["s.zip", packed / "s.zip", "/vsizip/s.zip/flight/s.tif", f"/vsizip/{packed}/s.zip/flight/s.tif"]
    names += ["/vsitar/s.tar.gz/s.tif", f"/vsitar/{packed}/s.tar.gz/s.tif", f"/vsizip/{{{packed}/s.zip}}/flight/s.tif"]
    for name in names:
        scene = read_scene(name)
        np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
        assert (scene.name, scene.grid.crs) == ("s", "EPSG:32632")
        np.testing.assert_array_equal(np.asarray(read_scene(scene.source).cube), CUBE)  # as `map` does


def test_envi_in_an_archive(tmp_path: Path) -> None:
    header = write_envi(tmp_path, CUBE, "bsq")
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        for file in (header, header.with_suffix(".img")):
            archive.write(file, file.name)
    np.testing.assert_array_equal(np.asarray(read_scene(tmp_path / "e.zip").cube), CUBE)


def test_other_archives_are_named_with_the_command_that_unpacks_them(packed: Path, hyperseg: Hyperseg) -> None:
    with zipfile.ZipFile("two.zip", "w") as archive:
        archive.write("s.tif", "a.tif")
        archive.write("s.tif", "b.tif")
    np.save("cube.npy", CUBE)
    with zipfile.ZipFile("cube.zip", "w") as archive:
        archive.write("cube.npy")
    told = {
        "two.zip": r"is a zip archive with a.tif, b.tif.*unzip two.zip",
        "s.tar.gz": r"is a tar archive.*tar xf s.tar.gz",
        "cube.zip": r"is a zip archive with cube.npy.*unzip cube.zip",
    }  # fmt: skip
    for name, words in told.items():
        with pytest.raises(DataFileError, match=words):
            read_scene(name)
    with pytest.raises(DataFileError, match=r"no names; leave out 'key'"):
        read_scene("/vsizip/s.zip/flight/s.tif:key")
    assert "cannot be read" in hyperseg("info", "/vsizip/s.zip/other.tif").error


def test_virtual_names_keep_their_slashes() -> None:
    assert split_key("/vsizip/x.zip/s.nc:key") == (Path("/vsizip/x.zip/s.nc"), "key")
    file, key = split_key("/vsicurl/https://host:8080/a/scene.tif")
    assert key is None
    assert for_gdal(file) == "/vsicurl/https://host:8080/a/scene.tif"


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hyperseg: Hyperseg) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.tif")
    os.mkfifo("pipe.mat")
    os.mkfifo("pipe.gpkg")
    Path("zero.tif").symlink_to("/dev/zero")
    Path("ring.tif").symlink_to("ring.tif")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.tif")
    for name in ("pipe.tif", "pipe.mat", "pipe.gpkg", "zero.tif", "socket.tif", "/dev/null"):
        assert "is no regular file but a pipe, socket or device" in hyperseg("info", name, "--no-picture").error
    assert "Too many levels" in hyperseg("info", "ring.tif").error
    assert "name too long" in hyperseg("info", "x" * 300 + ".tif").error
    write_any(tmp_path, "tif")
    os.mkfifo("cube.tif.aux.xml")  # GDAL would wait for it
    assert "cube.tif.aux.xml" in hyperseg("info", "cube.tif").error


def npy(shape: tuple[int, ...], numbers: int) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(numbers)


def test_sizes_beyond_reason_are_refused_before_reading(tmp_path: Path) -> None:
    for shape in ((10**6, 10**6, 10**6), (10**9, 10**6, 10**6)):
        (tmp_path / "absurd.npy").write_bytes(npy(shape, 100))
        with pytest.raises(DataFileError, match="has 228 bytes, but says to hold"):
            read_array(tmp_path / "absurd.npy")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cube.npy", npy((10**5, 10**4, 10**3), 10**6))
    with pytest.raises(DataFileError, match="such a file is read at once and this machine has"):
        read_scene(tmp_path / "bomb.npz")
    header = write_envi(tmp_path, CUBE, "bsq")
    whole = header.read_text()
    header.write_text(whole.replace("lines = 7", "lines = 1000000000000"))
    with pytest.raises(DataFileError, match="truncated"):
        read_scene(header)
    header.write_text(whole + "junk = {" + "1, " * 2_000_000 + "}")
    with pytest.raises(DataFileError, match="which no header has"):
        read_scene(header)
    header.write_text(whole + "junk = {" + "1, " * 1_000_000 + "}")
    assert read_scene(header).shape == (7, 5)


def test_a_picture_of_itself_and_a_laugh_in_xml(tmp_path: Path) -> None:
    band = "<VRTRasterBand dataType='Byte' band='{b}'><SimpleSource><SourceFilename relativeToVRT='1'>self.vrt"
    band += "</SourceFilename><SourceBand>{b}</SourceBand></SimpleSource></VRTRasterBand>"
    bands = "".join(band.format(b=b) for b in range(1, 13))
    (tmp_path / "self.vrt").write_text(f"<VRTDataset rasterXSize='9' rasterYSize='9'>{bands}</VRTDataset>")
    with pytest.raises(DataFileError, match=r"self\.vrt: cannot be read as a raster"):
        np.asarray(read_scene(tmp_path / "self.vrt").cube)
    laughs = "".join(f"<!ENTITY l{i + 1} '{f'&l{i};' * 10}'>" for i in range(12))
    path = write_tiff(tmp_path / "s.tif", CUBE)
    Path(f"{path}.aux.xml").write_text(
        f"<!DOCTYPE x [<!ENTITY l0 'ha'>{laughs}]><PAMDataset><PAMRasterBand band='1'><CategoryNames><Category>&l12;"
        "</Category></CategoryNames></PAMRasterBand></PAMDataset>"
    )
    np.testing.assert_array_equal(np.asarray(read_scene(path).cube), CUBE)
