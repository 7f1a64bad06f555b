"""Bad input gets one line that names the file, what was found and what to do; never a foreign traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_read import CUBE, KINDS, write_any, write_envi, write_tiff

from hyperseg.core import DataFileError, HypersegError, LabelError, SceneError
from hyperseg.data.read import read_array, read_labels, read_scene

SUFFIXES = (
    ".mat",
    ".npy",
    ".npz",
    ".h5",
    ".hdf5",
    ".he5",
    ".nc",
    ".hdr",
    ".img",
    ".tif",
    ".tiff",
    ".xyz",
    "",
)


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


def test_a_misspelt_name_gets_a_suggestion(tmp_path: Path) -> None:
    np.save(tmp_path / "Indian_pines.npy", CUBE)
    path = tmp_path / "indian_pines.npy"
    if path.exists():
        pytest.skip("this file system ignores case")
    assert "did you mean Indian_pines.npy" in message(lambda: read_scene(path), DataFileError, path)
    lost = tmp_path / "nowhere" / "a.npy"
    assert "does not exist either" in message(lambda: read_scene(lost), DataFileError, lost)


@pytest.mark.parametrize("kind", ["mat", "v7.3", "h5", "npz", "npy", "tif", "bsq"])
def test_an_array_that_is_not_there(tmp_path: Path, kind: str) -> None:
    path = write_any(tmp_path, kind)
    named = path.with_suffix(".img") if path.suffix == ".hdr" else path
    text = message(lambda: read_scene(f"{path}:other"), DataFileError, named)
    assert "'other'" in text


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
        case _:
            import h5py

            path = path if suffix == ".h5" else tmp_path / "s73.mat"
            with h5py.File(path, "w") as file:
                for key, array in arrays.items():
                    file[key] = array if suffix == ".h5" else array.transpose()
    text = message(lambda: read_scene(path), DataFileError, path)
    assert "first (7x5x12 uint16), second (7x5x12 float" in text
    assert f"{path}:" in text
    assert read_scene(f"{path}:second").cube.dtype.kind == "f"
    assert read_scene(path, key="first").cube.dtype.kind == "u"


def test_envi_headers_that_do_not_fit(tmp_path: Path) -> None:
    header = write_envi(tmp_path, CUBE, "bsq")
    text = header.read_text()
    data = header.with_suffix(".img")
    for old, new, found in (
        ("lines = 7", "lines = 70", "promises"),
        ("lines = 7", "lines = 0", "promises"),
        ("lines = 7", "lines = seven", "seven"),
        ("lines = 7\n", "", "lines"),
        ("interleave = bsq", "interleave = xyz", "xyz"),
        ("data type = 12", "data type = 99", "99"),
        ("data type = 12", "data type = 6", "complex"),
        ("file type = ENVI Standard", "file compression = 1", "compress"),
        ("byte order = 0", "byte order = 0\nwavelength = {1, 2", "header"),
    ):
        header.write_text(text.replace(old, new))
        with pytest.raises(DataFileError, match=found) as caught:
            read_scene(header)
        assert "\n" not in str(caught.value)
        assert header.stem in str(caught.value)
    header.write_text(text)
    data.unlink()
    assert "no data file beside it" in message(lambda: read_scene(header), DataFileError, header)


def test_arrays_that_are_no_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "c.npy", CUBE.astype(complex))
    np.save(tmp_path / "s.npy", np.array([["text"]]))
    for name in ("o.npy", "c.npy", "s.npy"):
        path = tmp_path / name
        message(lambda path=path: read_scene(path), DataFileError, path)  # type: ignore[misc]
    np.savez(tmp_path / "n.npz", words=np.array(["a", "b"]))
    assert "no numeric array" in message(
        lambda: read_array(tmp_path / "n.npz"), DataFileError, tmp_path / "n.npz"
    )


def test_vectors_are_sent_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "fields.geojson"
    path.write_text("{}")
    assert "asterise" in message(lambda: read_labels(path, (7, 5)), DataFileError, path)


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
