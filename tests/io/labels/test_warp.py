"""Label rasters on another grid: nearest neighbour, the identity where the grid is the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hyperseg.core import Grid, LabelError
from hyperseg.io.read import read_labels, read_scene
from hyperseg.io.write import write_map, write_raster

AFFINE = (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", AFFINE)
CODES = np.kron(np.random.default_rng(1).integers(-1, 3, (8, 10)), np.ones((5, 5))).astype(np.int16)
NAMES, COLOURS = ("ash", "oak", "fir"), ((200, 0, 0), (0, 200, 0), (0, 0, 200))
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, codes: np.ndarray, affine: tuple[float, ...], crs: str | None = "EPSG:32633") -> Path:
        grid = Grid((1.0, 1.0), "px", crs, affine)
        write_map(tmp_path / name, codes, classes=NAMES, colours=COLOURS, grid=grid)
        return tmp_path / name

    return write


def shifted(rows: float, columns: float, pixel: float = 10.0) -> tuple[float, ...]:
    """The scene's affine, its corner moved by pixels of 10 m."""
    return (pixel, 0.0, 500000.0 + 10 * columns, 0.0, -pixel, 5000000.0 - 10 * rows)


def test_the_same_grid_is_the_identity_also_a_little_beside(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hyperseg")
    for shift in (0.0, 1e-7, 0.4, -0.4):
        labels = read_labels(write("gt.tif", CODES, shifted(shift, shift)), CODES.shape, grid=GRID)
        np.testing.assert_array_equal(labels.codes, CODES)
    assert caplog.text == ""


@pytest.mark.parametrize(("rows", "columns"), [(3, 0), (-4, 7), (0.6, -0.6), (20, 30)])
def test_a_shift_by_pixels_is_a_shift_by_pixels(write: Write, rows: float, columns: float) -> None:
    labels = read_labels(write("gt.tif", CODES, shifted(rows, columns)), CODES.shape, grid=GRID)
    r, c = (int(np.floor(v + 0.5)) for v in (rows, columns))
    expected = np.full(CODES.shape, -1)
    h, w = CODES.shape
    expected[max(r, 0) : h + min(r, 0), max(c, 0) : w + min(c, 0)] = CODES[
        max(-r, 0) : h - max(r, 0), max(-c, 0) : w - max(c, 0)
    ]
    present = np.unique(expected[expected >= 0])
    assert labels.classes == tuple(NAMES[k] for k in present)
    assert labels.colours == tuple(COLOURS[k] for k in present)
    assert labels.file_codes == tuple(int(k) + 1 for k in present)
    np.testing.assert_array_equal(np.append(present, -1)[labels.codes], expected)


def test_a_coarse_raster_is_repeated_and_a_fine_one_sampled_at_centres(write: Write) -> None:
    """Blocks of 5 x 5 pixels are one pixel of 50 m; and three fine pixels for each of the scene's give their middle."""
    coarse = read_labels(write("c.tif", CODES[::5, ::5], shifted(0, 0, 50.0)), CODES.shape, grid=GRID)
    np.testing.assert_array_equal(coarse.codes, CODES)
    fine = np.full((CODES.shape[0] * 3, CODES.shape[1] * 3), 2, np.int16)
    fine[1::3, 1::3] = CODES
    sampled = read_labels(write("f.tif", fine, shifted(0, 0, 10 / 3)), CODES.shape, grid=GRID)
    np.testing.assert_array_equal(sampled.codes, CODES)


def test_there_and_back_again(write: Write) -> None:
    """Through another CRS and home, labels keep to within a pixel of where they were; none is new or mixed."""
    from scipy.ndimage import grey_dilation, grey_erosion

    rows, columns = CODES.shape
    affine, width, height = rasterio.warp.calculate_default_transform(
        "EPSG:32633", "EPSG:4326", columns, rows, *(500000.0, 5e6 - 10 * rows, 5e5 + 10 * columns, 5e6)
    )
    there_grid = Grid(crs="EPSG:4326", affine=tuple(affine)[:6])
    there = read_labels(write("a.tif", CODES, AFFINE), (height, width), grid=there_grid)
    back = read_labels(write("b.tif", there.codes, tuple(affine)[:6], "EPSG:4326"), CODES.shape, grid=GRID)
    inside = grey_erosion(CODES, 3) == grey_dilation(CODES, 3)  # a pixel away from any border
    assert inside.sum() > 500
    np.testing.assert_array_equal(back.codes[inside], CODES[inside])
    assert (back.codes == CODES).mean() > 0.9


def test_it_is_told_and_only_what_is_there_counts(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hyperseg")
    big = np.full((300, 300), 0, np.int16)
    big[:5] = 2  # far from the scene
    big[200:210, 100:110] = 1
    write_raster(tmp_path / "scene.tif", np.random.default_rng(0).random((40, 50, 12)).astype(np.float32), GRID)
    path = write("gt.tif", big, shifted(-190, -90))
    scene = read_scene(tmp_path / "scene.tif", labels=path)
    assert scene.shape == (40, 50)
    assert scene.classes == ("ash", "oak")
    assert scene.parcels is None
    assert (scene.labels[10:20, 10:20] == 1).all()
    assert (scene.labels == 1).sum() == 100
    (said,) = (r.getMessage() for r in caplog.records if "another grid" in r.getMessage())
    assert said.startswith(f"{path}: lies on another grid than {tmp_path / 'scene.tif'} (300x300 pixels of 10")
    assert "2000 of the scene's 2000 pixels are labelled" in said


def test_nothing_in_the_scene_is_refused(write: Write) -> None:
    for name, affine, crs in (("far.tif", shifted(1000, 0), "EPSG:32633"), ("zone.tif", AFFINE, "EPSG:32634")):
        with pytest.raises(LabelError, match=r"does not reach the scene: it covers x .* the scene x ") as caught:
            read_labels(write(name, CODES, affine, crs), CODES.shape, grid=GRID)
        assert "\n" not in str(caught.value)
    empty = CODES.copy()
    empty[:, 20:] = -1
    with pytest.raises(LabelError, match="has no labelled pixel in the scene"):
        read_labels(write("e.tif", empty, shifted(0, -25)), CODES.shape, grid=GRID)


def test_without_coordinates_the_shape_must_fit(write: Write, tmp_path: Path) -> None:
    np.save(tmp_path / "gt.npy", CODES + 1)
    np.testing.assert_array_equal(read_labels(tmp_path / "gt.npy", CODES.shape, grid=GRID).codes, CODES)
    path = write("gt.tif", CODES, AFFINE)
    np.testing.assert_array_equal(read_labels(path, CODES.shape).codes, CODES)
    np.testing.assert_array_equal(read_labels(path, CODES.shape, grid=Grid()).codes, CODES)
    for labels, grid in ((tmp_path / "gt.npy", GRID), (path, Grid()), (path, None)):
        with pytest.raises(LabelError, match=r"the labels have shape \(40, 50\)"):
            read_labels(labels, (41, 50), grid=grid)


def test_a_style_names_and_colours_a_bare_raster(tmp_path: Path) -> None:
    write_raster(tmp_path / "gt.tif", (CODES[..., None] + 1).astype(np.uint8), GRID)
    assert read_labels(tmp_path / "gt.tif", CODES.shape).classes == ("class 1", "class 2", "class 3")
    write_map(tmp_path / "styled.tif", CODES, classes=NAMES, colours=COLOURS, grid=GRID)
    (tmp_path / "styled.qml").rename(tmp_path / "gt.qml")
    labels = read_labels(tmp_path / "gt.tif", CODES.shape)
    assert (labels.classes, labels.colours) == (NAMES, COLOURS)


def test_real_rasters_in_other_crs(shared_data: Path, tmp_path: Path) -> None:
    """Olinda: elevation classes in EPSG:32000 come onto the Landsat scene; land cover of another island does not."""
    folder = shared_data / "geotiff" / "olinda_landsat7"
    with rasterio.open(folder / "olinda_dem_utm25s.tif") as dem:
        steps = np.digitize(dem.read(1), [10.0, 30.0]).astype(np.int16)
        grid = Grid(crs=dem.crs.to_wkt(), affine=tuple(dem.transform)[:6])
    write_map(tmp_path / "steps.tif", steps, classes=("low", "mid", "high"), colours=COLOURS, grid=grid)
    scene = read_scene(folder / "L7_ETMs.tif", labels=tmp_path / "steps.tif")
    assert scene.shape == (352, 349)
    share = scene.class_counts() / scene.class_counts().sum()
    np.testing.assert_allclose(share, np.bincount(steps.ravel()) / steps.size, atol=0.01)
    with pytest.raises(LabelError, match="does not reach"):
        read_scene(folder / "L7_ETMs.tif", labels=folder / "lc.tif")
