"""Bad input gets one line that names the file, what was found and what to do; never a foreign traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg
from written import CUBE, KINDS, write_any, write_envi, write_tiff

from hyperseg.core import DataFileError, HypersegError, LabelError, SceneError
from hyperseg.io.open import open_scene
from hyperseg.io.read import read_array, read_labels, read_scene

SUFFIXES = (*[".mat", ".npy", ".npz", ".h5", ".hdf5", ".he5", ".nc", ".hdr", ".img", ".tif", ".tiff", ".xyz"], "")


def message(call: Callable[[], object], error: type[HypersegError], path: Path) -> str:
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    assert len(text) > len(str(path)) + 30
    return text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_absent_empty_and_nonsense_files_and_folders(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    assert "no such file" in message(lambda: read_scene(path), DataFileError, path)
    path.write_bytes(b"")
    assert "empty" in message(lambda: read_scene(path), DataFileError, path)
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    message(lambda: read_scene(path), DataFileError, path)
    path.write_bytes(b"ENVI\nthis is text, not data\n" * 100)
    message(lambda: read_scene(path), DataFileError, path)
    path.unlink()
    path.mkdir()
    assert "folder" in message(lambda: read_scene(path), DataFileError, path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files(tmp_path: Path, kind: str, share: float) -> None:
    cube = np.random.default_rng(0).integers(0, 60000, (64, 50, 40)).astype(np.uint16)
    path = write_any(tmp_path, kind, cube)
    data = path.with_suffix(".img") if path.suffix == ".hdr" else path
    os.truncate(data, int(data.stat().st_size * share))
    message(lambda: np.asarray(read_scene(path).cube), DataFileError, data)


@pytest.mark.parametrize("kind", ["mat", "v7.3", "h5", "npz", "npy", "tif", "bsq"])
def test_an_array_that_is_not_there(tmp_path: Path, kind: str) -> None:
    path = write_any(tmp_path, kind)
    named = path.with_suffix(".img") if path.suffix == ".hdr" else path
    assert "'other'" in message(lambda: read_scene(f"{path}:other"), DataFileError, named)


@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5", ".v73"])
def test_several_arrays_are_listed(tmp_path: Path, suffix: str) -> None:
    arrays = {"first": CUBE, "second": CUBE.astype(np.float32)}
    path = tmp_path / f"s{suffix}"
    match suffix:
        case ".npz":
            np.savez(path, **arrays)
        case ".mat":
            from scipy.io import savemat

            savemat(path, arrays)
        case ".h5":
            hdf5_with(tmp_path, path.name, **arrays)
        case _:
            path = hdf5_with(tmp_path, "s73.mat", **{key: array.transpose() for key, array in arrays.items()})
    text = message(lambda: read_scene(path), DataFileError, path)
    assert "first (7x5x12 uint16), second (7x5x12 float" in text
    assert f"{path}:" in text
    assert read_scene(f"{path}:second").cube.dtype.kind == "f"
    assert read_scene(path, key="first").cube.dtype.kind == "u"


def test_arrays_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "c.npy"
    for array in (CUBE.astype(complex), np.array([["text"]])):
        np.save(path, array)
        message(lambda: read_scene(path), DataFileError, path)
    np.savez(tmp_path / "n.npz", words=np.array(["a", "b"]))
    assert "no numeric array" in message(lambda: read_array(tmp_path / "n.npz"), DataFileError, tmp_path / "n.npz")


def test_vectors_are_no_array(tmp_path: Path) -> None:
    path = tmp_path / "fields.geojson"
    path.write_text("{}")
    assert "asterise" in message(lambda: read_array(path), DataFileError, path)
    assert "cannot be read as vectors" in message(lambda: read_labels(path, (7, 5)), DataFileError, path)


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (np.zeros((7, 5), np.uint8), "every pixel is unlabelled"),
        (np.full((7, 5), 0.5), "fractions"),
        (np.ones((5, 7), np.uint8), "transposed"),
        (np.ones((6, 5), np.uint8), "same grid"),
        (np.pad(-np.ones((6, 5), np.int16), ((0, 1), (0, 0))), "unclear"),
        (np.ones((7, 5, 3), np.uint8), "3 bands"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, codes: np.ndarray, found: str) -> None:
    path = tmp_path / "gt.npy"
    np.save(path, codes)
    assert found in message(lambda: read_labels(path, (7, 5)), LabelError, path)
    np.save(tmp_path / "cube.npy", CUBE)
    message(lambda: read_scene(tmp_path / "cube.npy", labels=path), LabelError, path)


def test_measurements_are_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "dem.npy"
    np.save(path, np.arange(1, 2501).reshape(50, 50))
    assert "2500 different codes" in message(lambda: read_labels(path, (50, 50)), LabelError, path)


def test_cubes_without_data(tmp_path: Path) -> None:
    path = tmp_path / "cube.npy"
    for cube, found in ((np.full(CUBE.shape, np.nan), "no data"), (np.ones(CUBE.shape), "no usable band")):
        np.save(path, cube)
        assert found in message(lambda: read_scene(path), SceneError, path)
    tiff = write_tiff(tmp_path / "one.tif", CUBE[..., :1])
    assert "at least 3 bands" in message(lambda: read_scene(tiff), SceneError, tiff)


def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "cube.npy"
    np.save(path, CUBE)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permission" in message(lambda: read_scene(path), DataFileError, path)


# --- malformed files as a user meets them: `hyperseg info` and `hyperseg classify`


def envi(folder: Path, *, old: str = "", new: str = "", data: bytes | None = None) -> Path:
    """An ENVI pair of CUBE with a line of its header replaced, or other data."""
    header = write_envi(folder, CUBE, "bsq", extra="wavelength units = Nanometers\n")
    header.write_text(header.read_text().replace(old, new))
    if data is not None:
        header.with_suffix(".img").write_bytes(data)
    return header


def header_alone(folder: Path) -> Path:
    header = envi(folder)
    header.with_suffix(".img").unlink()
    return header


def raw_alone(folder: Path) -> Path:
    path = folder / "flight.bil"
    path.write_bytes(CUBE.tobytes())
    return path


def foreign_header(folder: Path) -> Path:
    (folder / "flight.hdr").write_text("NROWS 7\nNCOLS 5\n")
    (folder / "flight.xyz").write_bytes(CUBE.tobytes())
    path = folder / "flight.img"
    path.write_bytes(CUBE.tobytes())
    return path


def cut(folder: Path, kind: str) -> Path:
    """A file of 7 x 5 pixels in many bands, of which the second half is lost."""
    cube = np.random.default_rng(0).integers(0, 60000, (7, 5, 400)).astype(np.uint16)
    path = write_any(folder, kind, cube)
    os.truncate(path, path.stat().st_size // 2)
    return path


def hdf5_with(folder: Path, name: str, **arrays: np.ndarray) -> Path:
    import h5py

    path = folder / name
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key.replace("__", "/")] = array
    return path


def emit_without_pixels(folder: Path) -> Path:
    glt = dict.fromkeys(("location__glt_x", "location__glt_y"), np.ones((4, 4), np.int32))
    cube, nm = np.ones((3, 12), np.float32), np.arange(12.0) + 400
    return hdf5_with(folder, "EMIT.nc", reflectance=cube, sensor_band_parameters__wavelengths=nm, **glt)


def prisma_without_lists(folder: Path) -> Path:
    cube = np.ones((4, 5, 6), np.uint16)
    fields = "HDFEOS__SWATHS__PRS_L2D_HCO__Data Fields__"
    return hdf5_with(folder, "PRS_L2D.he5", **{fields + "VNIR_Cube": cube, fields + "SWIR_Cube": cube})


def enmap_of_nothing(folder: Path) -> Path:
    path = folder / "ENMAP01-METADATA.XML"
    path.write_text("<level_X><specific><bandCharacterisation/></specific></level_X>")
    return path


def broken_zarr(folder: Path) -> Path:
    path = folder / "cube.zarr"
    path.mkdir()
    (path / "zarr.json").write_text("{ not json")
    return path


def classic_netcdf(folder: Path) -> Path:
    path = folder / "cube.nc"
    path.write_bytes(b"CDF\x01" + bytes(400))
    return path


def pickled(folder: Path) -> Path:
    path = folder / "cube.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return path


def all_missing(folder: Path) -> Path:
    return write_tiff(folder / "empty.tif", np.full((7, 5, 12), -9999, np.int16), nodata=-9999)


# name -> (how to make it, words the message has)
MALFORMED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "data too short": (lambda f: envi(f, data=CUBE.tobytes()[:-9]), "truncated"),
    "data too long": (lambda f: envi(f, data=CUBE.tobytes() * 2), "more than"),
    "wrong lines": (lambda f: envi(f, old="lines = 7", new="lines = 9"), "promises"),
    "no line": (lambda f: envi(f, old="lines = 7", new="lines = 0"), "promises lines = 0"),
    "lines in words": (lambda f: envi(f, old="lines = 7", new="lines = seven"), "lines = seven"),
    "lines not said": (lambda f: envi(f, old="lines = 7\n"), "'lines' is missing"),
    "compressed": (lambda f: envi(f, old="file type = ENVI Standard", new="file compression = 1"), "compressed"),
    "header alone": (header_alone, "no data file beside it"),
    "wrong samples": (lambda f: envi(f, old="samples = 5", new="samples = 4"), "torn apart"),
    "no samples": (lambda f: envi(f, old="samples = 5\n"), "'samples' is missing"),
    "no data type": (lambda f: envi(f, old="data type = 12\n"), "'data type' is missing"),
    "byte order": (lambda f: envi(f, old="byte order = 0", new="byte order = 2"), "byte order = 2"),
    "interleave": (lambda f: envi(f, old="interleave = BSQ", new="interleave = tile"), "bsq, bil or bip"),
    "unknown type": (lambda f: envi(f, old="data type = 12", new="data type = 42"), "no type of ENVI"),
    "complex type": (lambda f: envi(f, old="data type = 12", new="data type = 6"), "complex"),
    "negative offset": (lambda f: envi(f, old="offset = 0", new="offset = -4"), "header offset = -4"),
    "offset in words": (lambda f: envi(f, old="offset = 0", new="offset = none"), "header offset = none"),
    "ignore value": (lambda f: envi(f, old="wavelength units", new="data ignore value = none\nx"), "one number"),
    "scale factor": (lambda f: envi(f, old="wavelength units", new="reflectance scale factor = 0\nx"), "positive"),
    "bbl in words": (lambda f: envi(f, old="wavelength units", new="bbl = {good, bad}\nx"), "12 numbers"),
    "no wavelengths": (lambda f: envi(f, old="wavelength units", new="wavelength = {red, nir}\nx"), "12 numbers"),
    "unclosed brace": (lambda f: envi(f, old="wavelength units", new="wavelength = {1, 2\nx"), "ENVI header"),
    "header is none": (lambda f: envi(f, old="ENVI", new="DATA"), "first word is not ENVI"),
    "raw alone": (raw_alone, "no flight.hdr lies beside it"),
    "foreign header": (foreign_header, "flight.hdr beside it does not begin with ENVI"),
    "cut tif": (lambda f: cut(f, "tif"), "cube.tif"),
    "cut h5": (lambda f: cut(f, "h5"), "cube.h5"),
    "cut mat": (lambda f: cut(f, "mat"), "cube.mat"),
    "cut npz": (lambda f: cut(f, "npz"), "cube.npz"),
    "pickle": (pickled, "cube.npy"),
    "classic netcdf": (classic_netcdf, "classic netCDF"),
    "broken zarr": (broken_zarr, "cannot be read as a Zarr store"),
    "EMIT": (emit_without_pixels, "expected (downtrack, crosstrack, bands)"),
    "PRISMA": (prisma_without_lists, "lacks the attribute List_Cw_Vnir"),
    "EnMAP": (enmap_of_nothing, "is not beside it"),
    "nothing but no-data": (all_missing, "holds no data"),
}


@pytest.mark.parametrize("command", ["info", "classify"])
@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_files_end_in_one_line(hyperseg: Hyperseg, tmp_path: Path, command: str, fault: str) -> None:
    make, words = MALFORMED[fault]
    path = make(tmp_path)
    np.save(tmp_path / "gt.npy", np.ones((7, 5), np.uint8))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    error = hyperseg(command, path.name, *(["--labels", "gt.npy"] if command == "classify" else [])).error
    assert path.stem in error
    assert words in error
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".gpkg", "x" * 300 + ".zip", "x" * 300 + ":gt"])
def test_names_that_no_file_can_have_are_told_in_a_line(name: str) -> None:
    with pytest.raises(HypersegError, match="xxx"):
        open_scene("indian-pines", labels=name)
