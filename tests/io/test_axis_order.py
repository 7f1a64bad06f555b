"""Which axis holds the bands: what a file says, what its user says, what the numbers show; never silently another."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
from written import write_envi, write_tiff

from hyperseg.core import SettingError
from hyperseg.io.axis_order import band_axis
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.read import read_scene
from hyperseg.simulated.scenes import toy_scene

SCENES = {
    n: np.asarray(toy_scene(shape=s, n_bands=n).cube) for s, n in (((24, 21), 16), ((60, 50), 40), ((40, 48), 25))
}
ORDERS = {"rows,columns,bands": (0, 1, 2), "bands,rows,columns": (2, 0, 1), "rows,bands,columns": (0, 2, 1)}


@pytest.mark.parametrize("bands", SCENES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_numbers_show_the_bands_whatever_the_order(bands: int, order: tuple[int, ...]) -> None:
    assert band_axis(SCENES[bands].transpose(order)) == order.index(2)
    assert band_axis((1000 * SCENES[bands]).astype(np.int16).transpose(order)) == order.index(2)


def test_numbers_that_show_nothing_decide_nothing() -> None:
    rng = np.random.default_rng(0)
    assert band_axis(rng.normal(size=(20, 30, 25))) is None
    assert band_axis(np.ones((20, 30, 25))) is None
    assert band_axis(np.full((20, 30, 25), np.nan)) is None
    assert band_axis(np.full((2, 30, 25), 1.0)) is None


def test_holes_do_not_mislead() -> None:
    cube = SCENES[25].astype(np.float64)
    cube[:12, :30] = -9999
    cube[20, 20] = np.nan
    cube[21, 20] = 3e38
    for order in ORDERS.values():
        assert band_axis(cube.transpose(order), nodata=-9999) == order.index(2)


@pytest.mark.parametrize("axes", ORDERS)
def test_what_was_taken_is_said_and_can_be_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture, axes: str) -> None:
    cube = SCENES[25]
    np.save(tmp_path / "cube.npy", cube.transpose(ORDERS[axes]))
    judged = read_scene(tmp_path / "cube.npy")
    np.testing.assert_array_equal(np.asarray(judged.cube), cube)
    assert ("its bands were taken to be on axis" in caplog.text) == (axes != "rows,columns,bands")
    assert axes == "rows,columns,bands" or f"--axes {axes}" in caplog.text
    caplog.clear()
    stated = read_scene(tmp_path / "cube.npy", options=CubeOptions(axes=axes))  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(stated.cube), cube)
    assert "were taken" not in caplog.text


def test_a_file_that_names_its_axes_is_not_contradicted(tmp_path: Path) -> None:
    cube = SCENES[16]
    with h5py.File(tmp_path / "scene.nc", "w") as file:
        data = file.create_dataset("reflectance", data=cube.transpose(2, 0, 1))
        for axis, (name, n) in enumerate(zip(("wavelength", "y", "x"), data.shape, strict=True)):
            scale = file.create_dataset(name, data=np.arange(n) * 100.0 + 400)
            scale.make_scale(name)
            data.dims[axis].attach_scale(scale)
    sources = {
        "rows,columns,bands": (write_tiff(tmp_path / "a.tif", cube), write_envi(tmp_path, cube, "bsq")),
        "bands,rows,columns": (tmp_path / "scene.nc",),
    }
    for says, paths in sources.items():
        for path, axes in itertools.product(paths, ORDERS):
            options = CubeOptions(axes=axes)  # type: ignore[arg-type]
            if axes == says:
                np.testing.assert_array_equal(np.asarray(read_scene(path, options=options).cube), cube)
                continue
            with pytest.raises(SettingError, match=f"says itself that its axes are {says}"):
                read_scene(path, options=options)


def test_prisma_of_level_1_lies_as_it_was_swept(tmp_path: Path) -> None:
    counts = (SCENES[25] * 1000).astype(np.uint16)
    with h5py.File(tmp_path / "PRS_L1.he5", "w") as file:
        file["HDFEOS/SWATHS/PRS_L1_HCO/Data Fields/VNIR_Cube"] = counts.transpose(0, 2, 1)
    np.testing.assert_array_equal(np.asarray(read_scene(tmp_path / "PRS_L1.he5").cube), counts)
