"""MATLAB: arrays in structs by their names, cubes stored flat, and damage that SciPy would not survive."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from written import CUBE

from hyperseg.core import DataFileError
from hyperseg.io.formats import list_arrays
from hyperseg.io.read import read_array, read_labels, read_scene
from hyperseg.simulated.scenes import toy_scene

NM = np.linspace(450, 2300, 12)
CODES = np.arange(35).reshape(7, 5) % 3


@pytest.mark.parametrize("deflated", [True, False])
def test_arrays_in_structs(tmp_path: Path, deflated: bool) -> None:
    path = tmp_path / "scene.mat"
    cells = np.array([[np.zeros((4, 5, 6)), "text"]], object)
    inside = {"Data": CUBE, "info": {"wavelength": NM, "notes": cells}, "truth": {"labels": CODES}}
    savemat(path, {"hsi": inside, "others": [{"a": 1}, {"a": 2}], "cells": cells}, do_compression=deflated)
    for name in (path, f"{path}:hsi.Data", f"{path}:hsi/Data"):
        scene = read_scene(name)
        np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
        np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert {"hsi.Data", "hsi.info.wavelength", "hsi.truth.labels"} <= set(list_arrays(path))
    found = read_labels(f"{path}:hsi.truth.labels", (7, 5))
    np.testing.assert_array_equal(found.codes >= 0, CODES > 0)
    with pytest.raises(DataFileError, match=r"no numeric array 'hsi.data'; it holds hsi\.Data \(7x5x12 uint16\)"):
        read_array(f"{path}:hsi.data", ndim=3)


def test_structs_of_version_73(tmp_path: Path) -> None:
    path = tmp_path / "seven.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["hsi/Data"], file["hsi/info/wavelength"] = CUBE.transpose(), NM[:, None]
    for name in (path, f"{path}:hsi.Data", f"{path}:hsi/Data"):
        scene = read_scene(name)
        np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
        np.testing.assert_allclose(scene.wavelengths_nm, NM)


SCENE = np.asarray(toy_scene(shape=(24, 21), n_bands=16).cube)


@pytest.mark.parametrize("by", ["row", "column"])
@pytest.mark.parametrize(
    "size",
    [
        {"nRow": 24, "nCol": 21}, {"rows": 24, "cols": 21}, {"H": 24, "W": 21}, {"M": 24, "N": 21},
        {"lines": 24, "samples": 21}, {"imgSize": np.array([24, 21, 16])},
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", [True, False])
def test_flat_cubes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, by: str, size: dict[str, Any], turned: bool
) -> None:
    caplog.set_level(logging.INFO)
    pixels = SCENE.reshape(-1, 16) if by == "row" else SCENE.transpose(1, 0, 2).reshape(-1, 16)
    content = {"Y": pixels.T if turned else pixels, "wavelength": np.linspace(400, 900, 16), **size}
    savemat(tmp_path / "flat.mat", content)
    np.savez(tmp_path / "flat.npz", **content)
    for name in ("flat.mat", "flat.npz", "flat.mat:Y"):
        scene = read_scene(tmp_path / name)
        np.testing.assert_array_equal(np.asarray(scene.cube), SCENE)
        assert scene.wavelengths_nm is not None
        assert f"is a cube stored flat; unfolded {by} by {by} into 24 x 21 pixels" in caplog.text


def test_a_flat_cube_without_its_size_says_what_is_missing(tmp_path: Path) -> None:
    savemat(tmp_path / "flat.mat", {"Y": SCENE.reshape(-1, 16).T})
    with pytest.raises(DataFileError, match=r"Y \(16x504 float\d\d\) may be one stored flat.*nRow and nCol"):
        read_scene(tmp_path / "flat.mat")
    savemat(tmp_path / "flat.mat", {"Y": SCENE.reshape(-1, 16).T, "nRow": 20, "nCol": 20})
    with pytest.raises(DataFileError, match="rows x columns = 20 x 20 beside it do not make its pixels"):
        read_scene(tmp_path / "flat.mat")


@pytest.mark.parametrize("deflated", [True, False])
def test_types_that_scipy_dies_of_are_refused(tmp_path: Path, deflated: bool) -> None:
    path = tmp_path / "scene.mat"
    savemat(path, {"hsi": {"Data": CUBE}}, do_compression=False)
    raw = path.read_bytes()
    place = raw.index(b"\4\0\0\0\x48\3\0\0")  # the tag of the numbers: uint16, 840 bytes
    for kind in (0, 8, 11, 19, 255):
        damaged = raw[:place] + bytes((kind, 0)) + raw[place + 2 :]
        if deflated:
            import zlib

            packed = zlib.compress(damaged[128:])
            damaged = damaged[:128] + b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed
        path.write_bytes(damaged)
        with pytest.raises(DataFileError, match=f"damaged MATLAB file: an element of type {kind}"):
            read_scene(path)
