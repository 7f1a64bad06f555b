"""Masks that a raster file keeps beside its values count as no data; an alpha band is a mask, no band."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from written import write_envi, write_tiff

from hyperseg.core import Scene
from hyperseg.io.formats.windows import LazyCube
from hyperseg.io.look.survey import survey
from hyperseg.io.look.thin import thin_mask
from hyperseg.io.look.valid import valid_at
from hyperseg.io.read import read_scene
from hyperseg.recipes.inspect import write_quicklook

ROWS, COLUMNS, BANDS = 70, 50, 12
CUBE = np.random.default_rng(0).integers(1, 4000, (ROWS, COLUMNS, BANDS)).astype(np.uint16)
EMPTY = (np.indices((ROWS, COLUMNS)).sum(0) < 40) | (np.indices((ROWS, COLUMNS))[1] > 45)


def with_alpha(path: Path, alpha: np.ndarray, cube: np.ndarray = CUBE, at: int = BANDS) -> Path:
    bands = np.insert(cube, at, alpha, axis=2)
    path = write_tiff(path, bands, photometric="MINISBLACK")
    meaning = [ColorInterp.gray] + [ColorInterp.undefined] * BANDS
    meaning[at] = ColorInterp.alpha
    with rasterio.open(path, "r+") as file:
        file.colorinterp = meaning
        for band in range(1, BANDS + 2):
            if band != at + 1:
                file.update_tags(band, wavelength=str(400 + 10 * band - 10 * (band > at + 1)), wavelength_units="nm")
    return path


def written(folder: Path, kind: str) -> Path:
    """The cube with `EMPTY` masked out; the values below the mask are ordinary ones."""
    mask = np.where(EMPTY, 0, 255).astype(np.uint8)
    match kind:
        case "inside" | "beside":
            path = write_tiff(folder / "scene.tif", CUBE, tiled=True, blockxsize=16, blockysize=16)
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "inside"), rasterio.open(path, "r+") as file:
                file.write_mask(mask)
            assert (folder / "scene.tif.msk").exists() == (kind == "beside")
        case "alpha" | "alpha first":
            alpha = mask.astype(np.uint16) * 257
            path = with_alpha(folder / "scene.tif", alpha, at=0 if kind == "alpha first" else BANDS)
        case "vrt":
            path = folder / "scene.vrt"
            copy(written(folder, "inside"), path, driver="VRT")
        case "envi":
            path = write_envi(folder, CUBE, "bsq").with_suffix(".img")
        case _:
            raise ValueError(kind)
    return path


@pytest.mark.parametrize("kind", ["inside", "beside", "alpha", "alpha first", "vrt"])
def test_masked_pixels_hold_no_data(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind)
    scene = read_scene(path)
    assert scene.cube.shape == CUBE.shape
    np.testing.assert_array_equal(scene.cube[:], CUBE)
    np.testing.assert_array_equal(scene.cube[3, :, 2:5], CUBE[3, :, 2:5])
    assert scene.valid is not None
    np.testing.assert_array_equal(scene.valid, ~EMPTY)
    if kind.startswith("alpha"):
        np.testing.assert_allclose(scene.wavelengths_nm, 410 + 10 * (np.arange(BANDS) - (kind == "alpha")) + 0, atol=10)


@pytest.mark.parametrize("kind", ["inside", "alpha"])
def test_a_mask_is_read_window_by_window(tmp_path: Path, kind: str) -> None:
    scene = read_scene(written(tmp_path, kind), scan=False)
    assert scene.valid is None
    assert isinstance(scene.mask, LazyCube)
    travelled: Scene = pickle.loads(pickle.dumps(scene))
    for at in (np.s_[0:70, 0:50], np.s_[11:41, 20:50], np.s_[69:70, 0:1]):
        np.testing.assert_array_equal(valid_at(travelled, at, np.asarray(travelled.cube[at])), ~EMPTY[at])
    assert survey(scene).empty == pytest.approx(EMPTY.mean())
    np.testing.assert_array_equal(thin_mask(scene, 1), ~EMPTY)
    write_quicklook(scene, tmp_path / "look.png")
    labels = np.ones(EMPTY.shape, np.uint8)
    labels[30:] = 2
    drawn = read_scene(written(tmp_path, kind), labels=labels, scan=False)
    assert drawn.labels is not None
    np.testing.assert_array_equal(drawn.labels == -1, EMPTY)


def test_the_user_may_do_without_the_mask(tmp_path: Path) -> None:
    from hyperseg.io.cube_options import CubeOptions

    scene = read_scene(written(tmp_path, "inside"), options=CubeOptions(nodata="none"))
    assert (scene.valid, scene.mask) == (None, None)
    scene = read_scene(written(tmp_path, "inside"), options=CubeOptions(nodata="-1"))
    assert scene.valid is not None


def test_a_band_of_measurements_marked_as_alpha_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Programs for pictures mark the last band of four as alpha, near infrared or not."""
    path = with_alpha(tmp_path / "scene.tif", CUBE[..., 0] + 7)
    assert read_scene(path).cube.shape == (ROWS, COLUMNS, BANDS + 1)
    assert "holds measurements: it stays a band" in caplog.text


def test_soft_edges_and_whole_alphas(tmp_path: Path) -> None:
    whole = with_alpha(tmp_path / "whole.tif", np.full((ROWS, COLUMNS), 65535, np.uint16))
    assert read_scene(whole).valid is None
    assert read_scene(whole).n_bands == BANDS
    soft = np.where(EMPTY, 0, 65535).astype(np.uint16)
    soft[30:34] = np.where(EMPTY[30:34], 0, 30000)
    found = read_scene(with_alpha(tmp_path / "soft.tif", soft)).valid
    np.testing.assert_array_equal(found, ~EMPTY)


def test_a_declared_value_and_a_mask_go_together(tmp_path: Path) -> None:
    cube = CUBE.copy()
    cube[60:, :10] = 0
    path = write_tiff(tmp_path / "scene.tif", cube, nodata=0)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.where(EMPTY, 0, 255).astype(np.uint8))
    scene = read_scene(path)
    expected = EMPTY.copy()
    expected[60:, :10] = True
    np.testing.assert_array_equal(~scene.valid, expected)  # type: ignore[operator]


def test_rasters_without_one_have_none(tmp_path: Path) -> None:
    assert read_scene(written(tmp_path, "envi")).mask is None
    assert read_scene(write_tiff(tmp_path / "plain.tif", CUBE)).mask is None
    assert read_scene(write_tiff(tmp_path / "declared.tif", CUBE, nodata=0)).mask is None
