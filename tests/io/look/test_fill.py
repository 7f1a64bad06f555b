"""Fill that no header declares is found in every type and shape; what was measured is left alone."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import write_any, write_envi, write_tiff

from hyperseg.core import Cube
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.formats.windows import LazyCube
from hyperseg.io.look.fill import Fill, find_fill
from hyperseg.io.look.sample import take_sample
from hyperseg.io.look.valid import valid_at
from hyperseg.io.read import read_scene

rng = np.random.default_rng(0)
ROWS, COLUMNS, BANDS = 60, 48, 14


def ground(dtype: Any = np.float32, top: float = 4000, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """(rows, columns, 14): three kinds of ground in fields, with noise, the darkest near 2 % of `top`."""
    kinds = np.array([np.linspace(0.1, 0.8, BANDS), np.linspace(0.9, 0.3, BANDS), np.linspace(0.05, 0.1, BANDS)])
    row, column = np.indices((rows, columns))
    fields = (row // 12 + column // 9) % 3
    cube = kinds[fields] + rng.normal(0, 0.01, (rows, columns, BANDS))
    return (cube * top).clip(0.02 * top, top).astype(dtype)


def shape_of(kind: str, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """(rows, columns) bool: where there is fill."""
    row, column = np.indices((rows, columns))
    match kind:
        case "corner":
            return (row < 10) & (column < 12)
        case "border":
            return (row < 2) | (row >= rows - 2) | (column < 2) | (column >= columns - 2)
        case "turned":  # a flight line across the grid: triangles at all corners
            along, across = row / rows + column / columns, row / rows - column / columns
            return (along < 0.35) | (along > 1.65) | (across < -0.65) | (across > 0.65)
        case "block":
            return (row >= 20) & (row < 29) & (column >= 15) & (column < 27)
        case _:
            raise ValueError(kind)


def found_in(cube: Cube, **options: Any) -> tuple[Fill, ...]:
    return find_fill(take_sample(cube), **options)[0]


@pytest.mark.parametrize("kind", ["corner", "border", "turned", "block"])
@pytest.mark.parametrize(
    ("dtype", "top", "value"),
    [
        (np.uint8, 180, 0), (np.uint8, 180, 255), (np.uint16, 4000, 0), (np.uint16, 4000, 65535), (np.int16, 4000, 0),
        (np.int16, 4000, -1), (np.int16, 4000, -9999), (np.int16, 4000, -32768), (np.int16, 4000, 32767),
        (np.int32, 4000, -2147483648), (np.float32, 1, 0), (np.float32, 1, -9999), (np.float32, 1, -32768),
        (np.float32, 1, 65535), (np.float64, 100, -999), (np.float64, 100, -1), (np.float32, 1, -0.1),
    ],
)  # fmt: skip
def test_it_is_found_whatever_and_wherever_it_is(
    tmp_path: Path, kind: str, dtype: Any, top: float, value: float
) -> None:
    cube, where = ground(dtype, top), shape_of(kind)
    cube[where] = value
    (fill,) = found_in(cube)
    assert fill.value == pytest.approx(value)
    assert fill.share == pytest.approx(where.mean())
    assert fill.where == ("in blocks" if kind == "block" else "at the border")
    np.save(tmp_path / "scene.npy", cube)
    scene = read_scene(tmp_path / "scene.npy")
    assert scene.nodata_by == "found"
    assert scene.valid is not None
    np.testing.assert_array_equal(~scene.valid, where)
    assert scene.good_bands is None


@pytest.mark.parametrize("value", [1e30, -3.4028235e38, np.inf, np.nan, 1e20])
def test_no_float_so_large_is_data(tmp_path: Path, value: float) -> None:
    """Wherever it stands: in whole pixels, or in one band of a pixel."""
    cube, where = ground(np.float32, 1), shape_of("corner")
    cube[where] = value
    cube[40, 30, 5] = value
    where[40, 30] = True
    header = write_envi(tmp_path, cube, "bil")
    for options in (CubeOptions(), CubeOptions(nodata="none")):
        scene = read_scene(header, options=options)
        assert scene.nodata is None
        assert scene.valid is not None
        np.testing.assert_array_equal(~scene.valid, where)


@pytest.mark.parametrize("declared", ["-3.40282e+38", "-3.4e38", "-9999.9", "-9999.90039", "1.7976931348623157e+308"])
def test_a_declared_value_may_be_rounded(tmp_path: Path, declared: str) -> None:
    cube, where = ground(np.float32, 1), shape_of("corner")
    cube[where] = {"-": np.float32(-3.4028235e38), "1": np.inf}[declared[0]] if "9999" not in declared else -9999.9
    scene = read_scene(write_envi(tmp_path, cube, "bsq", f"data ignore value = {declared}\n"))
    assert scene.valid is not None
    np.testing.assert_array_equal(~scene.valid, where)
    assert scene.nodata_by == "file"


def test_what_is_measured_is_left_alone() -> None:
    """No fill: plain ground, what clips, dark water, dead bands, single pixels, a simulated scene without noise."""
    clipped = ground(np.uint16, 5000)
    clipped[:10, :12] = 4095  # a cloud in 12 bits
    clipped = clipped.clip(0, 4095)
    shining = ground(np.uint16, 4000)
    shining[30:34, 20:26] = 9000
    water = ground(np.uint16)
    water[:20, :20, 6:] = 0  # a lake at the border, 0 in the short-wave infrared alone
    dead = ground(np.int16)
    dead[..., 3] = 0
    single = ground(np.uint16)
    single.reshape(-1, BANDS)[rng.choice(ROWS * COLUMNS, 40, replace=False)] = 0
    plain = np.linspace(0.1, 0.8, BANDS) * ((np.indices((60, 48))[0] // 20 + 1)[..., None])
    grey = np.repeat(rng.integers(0, 200, (60, 48, 1)), BANDS, -1).astype(np.uint8)
    for cube in (ground(), ground(np.uint8, 200), clipped, shining, water, dead, single, plain, grey):
        assert found_in(cube) == ()


def test_single_pixels_of_zeros_are_told() -> None:
    cube = ground(np.uint16)
    cube.reshape(-1, BANDS)[rng.choice(ROWS * COLUMNS, 40, replace=False)] = 0
    fills, doubts = find_fill(take_sample(cube))
    assert fills == ()
    assert len(doubts) == 1
    assert "40 sampled pixels with 0 in all good bands, scattered: kept as data" in doubts[0]


def test_what_cannot_be_measured_needs_no_company() -> None:
    cube = ground(np.float32, 1)
    at = rng.choice(ROWS * COLUMNS, 40, replace=False)
    cube.reshape(-1, BANDS)[at] = -9999
    (fill,) = found_in(cube)
    assert (fill.value, fill.where) == (-9999, "scattered")


def test_zeros_inside_do_not_hide_a_border_of_zeros() -> None:
    cube = ground(np.uint16)
    cube[shape_of("border")] = 0
    cube.reshape(-1, BANDS)[rng.choice(ROWS * COLUMNS, 400, replace=False)] = 0
    (fill,) = found_in(cube)
    assert (fill.value, fill.where) == (0, "at the border")


@pytest.mark.parametrize("lines", ["rows", "columns"])
def test_lines_that_the_detector_lost(lines: str) -> None:
    cube = ground(np.uint16)
    if lines == "rows":
        cube[[7, 30]] = 0
    else:
        cube[:, [7, 30]] = 0
    (fill,) = found_in(cube)
    assert fill.value == 0


def test_a_dead_band_or_a_marked_one_does_not_hide_it() -> None:
    cube, where = ground(np.int16), shape_of("turned")
    cube[where] = -9999
    cube[..., 3] = 7  # constant, fill or not
    cube[..., 5] = rng.integers(0, 9, (ROWS, COLUMNS))  # noise, and marked
    bbl = np.ones(BANDS, bool)
    bbl[5] = False
    (fill,) = found_in(cube, bbl=bbl)
    assert fill.value == -9999


def test_one_and_the_same_spectrum_at_the_border_is_fill() -> None:
    cube, where = ground(np.float32, 1), shape_of("turned")
    cube[where] = np.linspace(0.02, 0.07, BANDS)
    (fill,) = found_in(cube)
    assert fill.value is None
    assert "one and the same spectrum" in str(fill)
    inside = ground(np.float32, 1)
    inside[shape_of("block")] = np.linspace(0.02, 0.07, BANDS)
    assert found_in(inside) == ()


@pytest.mark.parametrize("kind", ["npy", "tif", "h5", "bil"])
@pytest.mark.parametrize("second", ["another value", "a spectrum"])
def test_fill_beside_a_declared_value(tmp_path: Path, kind: str, second: str) -> None:
    """A turned flight line declares -9999 for lost pixels, and its corners hold something else."""
    cube, corners, lost = ground(np.float32, 1), shape_of("turned"), shape_of("block")
    cube[corners] = 0 if second == "another value" else np.linspace(0.02, 0.07, BANDS)
    cube[lost] = -9999
    path = write_any(tmp_path, kind, cube)
    if kind == "tif":
        path = write_tiff(tmp_path / "declared.tif", cube, nodata=-9999)
    lazy = read_scene(path, scan=False)
    assert lazy.nodata == (-9999 if kind == "tif" or second == "a spectrum" else 0)
    assert lazy.valid is None
    scene = read_scene(path)
    assert scene.valid is not None
    np.testing.assert_array_equal(~scene.valid, corners | lost)
    travelled = pickle.loads(pickle.dumps(lazy))
    for at in (np.s_[0:30, 0:48], np.s_[25:60, 11:40]):
        np.testing.assert_array_equal(valid_at(travelled, at, np.asarray(travelled.cube[at])), scene.valid[at])


def test_the_user_has_the_last_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cube, where = ground(np.int16), shape_of("corner")
    cube[where] = -9999
    path = write_tiff(tmp_path / "scene.tif", cube, nodata=-9999)
    kept = read_scene(path, options=CubeOptions(nodata="none"))
    assert (kept.valid, kept.nodata, kept.nodata_by) == (None, None, "given")
    assert read_scene(path).nodata_by == "file"
    cube[where] = 11
    np.save(tmp_path / "scene.npy", cube)
    other = read_scene(tmp_path / "scene.npy", options=CubeOptions(nodata="11"))
    assert other.valid is not None
    np.testing.assert_array_equal(~other.valid, where)
    assert other.nodata_by == "given"
    assert "taken for no data" not in caplog.text


def test_a_note_says_value_share_and_remedy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cube, where = ground(np.int16), shape_of("corner")
    cube[where] = -9999
    np.save(tmp_path / "scene.npy", cube)
    labels = np.where(np.indices((ROWS, COLUMNS))[0] < 30, 1, 2).astype(np.uint8)
    scene = read_scene(tmp_path / "scene.npy", labels=labels)
    assert (
        f"scene: {100 * where.mean():.1f} % of the pixels looked at hold -9999 in all good bands, at the" in caplog.text
    )
    assert "--nodata none keeps them as data" in caplog.text
    assert scene.labels is not None
    assert (scene.labels[where] == -1).all()
    lazy = read_scene(tmp_path / "scene.npy", labels=labels, scan=False)
    np.testing.assert_array_equal(lazy.labels, scene.labels)


@pytest.mark.parametrize(("dtype", "value"), [(np.int16, -9999), (np.int16, -32768), (np.float32, -9999.0)])
def test_fill_in_some_bands_is_no_data_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: Any, value: float
) -> None:
    """Where one detector of two saw nothing, and at a single pixel."""
    cube, where = ground(dtype), shape_of("corner")
    cube[where, :6] = value
    cube[40, 40, 3] = value
    where[40, 40] = True
    np.save(tmp_path / "scene.npy", cube)
    scene = read_scene(tmp_path / "scene.npy")
    assert (scene.nodata, scene.nodata_by, scene.gaps) == (value, "found", True)
    lost = np.zeros((ROWS, COLUMNS), bool) if scene.valid is None else ~scene.valid
    bands = np.ones(BANDS, bool) if scene.good_bands is None else scene.good_bands
    assert (lost | ~where | ~bands[:6].any()).all()  # no pixel with such a number is used, or no such band
    assert f"hold {value:g} in some bands, far beyond all other values: taken for no data there" in caplog.text


def test_fill_in_some_bands_beside_a_declared_value_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cube = ground(np.int16)
    cube[shape_of("corner")] = -1
    cube[shape_of("block"), 4] = -9999
    scene = read_scene(write_tiff(tmp_path / "scene.tif", cube, nodata=-1))
    assert scene.nodata == -1
    assert "hold -9999 in some bands" in caplog.text


class Strip:
    """A scene of 40 000 x 30 000 pixels that is made where it is read: ground with empty corners."""

    tile = (64, 64, BANDS)
    shape, dtype = (40000, 30000, BANDS), np.dtype(np.uint16)

    def read(self, window: tuple[tuple[int, int], ...]) -> np.ndarray:
        (top, bottom), (left, right), (first, last) = window
        noise = np.random.default_rng(top + left).integers(100, 4000, (bottom - top, right - left, BANDS))
        row, column = np.indices(noise.shape[:2])
        edge = (row + top) / 40000 + (column + left) / 30000
        noise[(edge < 0.02) | (edge > 1.98)] = 0
        return noise[..., first:last].astype(np.uint16)


def test_small_corners_of_a_huge_scene_are_seen() -> None:
    (fill,) = found_in(LazyCube(Strip(), (0, 1, 2)))
    assert fill.value == 0
    assert fill.where == "at the border"


def test_real_scenes_have_none(shared_data: Path) -> None:
    for name in ("indian_pines/Indian_pines_corrected.mat", "pavia_university/reg_pavia_dataset.mat"):
        scene = read_scene(shared_data / "hsi" / name)
        assert (scene.nodata, scene.valid, scene.mask) == (None, None, None)
