"""Rasters: what tags say of bands and scale, and files of several rasters."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from written import CUBE, write_tiff

from hyperseg.io.formats.array import ArrayChoiceError
from hyperseg.io.read import read_array, read_scene


def tagged(path: Path, *, scale: float | None = None, offset: float = 0.0, bbl: str = "") -> Path:
    import rasterio

    write_tiff(path, CUBE)
    with rasterio.open(path, "r+") as file:
        for band in range(1, 13):
            file.update_tags(band, WAVELENGTH=str(400 + 50 * band), wavelength_units="Nanometers")
        if scale is not None:
            file.scales, file.offsets = (scale,) * 12, (offset,) * 12
        if bbl:
            file.update_tags(bbl=bbl)
    return path


def test_scale_wavelengths_and_good_bands(tmp_path: Path) -> None:
    scene = read_scene(tagged(tmp_path / "a.tif", scale=0.0001, bbl="{1,1,0,1,1,1,1,1,1,1,1,0}"))
    assert scene.scale == 10000.0
    np.testing.assert_allclose(scene.wavelengths_nm, 400 + 50 * np.arange(1, 13))
    assert list(np.flatnonzero(~scene.good_bands)) == [2, 11]
    assert read_scene(tagged(tmp_path / "b.tif")).scale is None
    assert read_scene(tagged(tmp_path / "c.tif", scale=0.0001, offset=-0.1)).scale is None  # is no plain factor


@pytest.mark.parametrize("name", ["several.hdf", "several"])  # suffixes that leave it to GDAL
def test_a_file_of_several_rasters_is_listed_and_one_chosen(tmp_path: Path, name: str) -> None:
    import h5py

    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file["first"], file["second"] = CUBE.transpose(2, 0, 1), CUBE.transpose(2, 0, 1)[:, :5]
    with pytest.raises(ArrayChoiceError, match=rf"{name}: .*2 subdatasets: first, second\. .*{name}:first"):
        read_scene(path)
    cube = read_array(f"{path}:second")
    np.testing.assert_array_equal(cube[1:3, :, 4], CUBE[1:3, :, 4])
    assert cube.shape == (5, 5, 12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(cube))[0], CUBE[0])
    with pytest.raises(ArrayChoiceError, match="no array 'third'"):
        read_scene(f"{path}:third")


def test_a_scale_that_cannot_be_used_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "hyperseg"):
        assert read_scene(tagged(tmp_path / "s.tif", scale=1e-4, offset=0.1)).scale is None
    assert "its values are used as they are stored" in caplog.text
