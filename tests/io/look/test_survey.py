"""Looking at a cube without reading it: planted faults are found, and little is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import CUBE, write_any, write_tiff

from hyperseg.core import Scene
from hyperseg.io.formats.windows import FlatWindows, LazyCube
from hyperseg.io.look.sample import row_spans
from hyperseg.io.look.survey import survey
from hyperseg.io.look.thin import ThinCube
from hyperseg.io.look.valid import find_valid, without_data
from hyperseg.io.look.values import valid_in
from hyperseg.io.read import read_array, read_scene

rng = np.random.default_rng(0)


class Tiled:
    """A file of 64 x 64 tiles that counts the tiles it decodes."""

    tile = (64, 64, 500)

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape, self.dtype, self.tiles = shape, np.dtype(np.float32), set[tuple[int, int]]()

    def read(self, window: tuple[tuple[int, int], ...]) -> np.ndarray:
        (top, bottom), (left, right), (first, last) = window
        for row in range(top // 64, -(-bottom // 64)):
            self.tiles |= {(row, column) for column in range(left // 64, -(-right // 64))}
        return np.random.default_rng(top).random((bottom - top, right - left, last - first), np.float32)


def smooth(bands: int = 12) -> np.ndarray:
    rows, columns = np.indices((60, 50))
    base = np.sin(rows / 9)[..., None] + np.cos(columns / 7)[..., None] * np.linspace(0.5, 1.5, bands)
    return 1000 + 300 * base + rng.normal(0, 8, (60, 50, bands))


def test_planted_faults_are_found_and_nothing_else() -> None:
    cube = smooth()
    cube[..., 3] = rng.normal(1000, 200, (60, 50))  # noise
    cube[..., 6] += 900 * (np.arange(50) % 2)  # stripes from column to column
    cube[..., 8] = np.minimum(cube[..., 8], np.percentile(cube[..., 8], 93))  # saturated
    seen = survey(Scene(cube))
    assert (seen.noisy, seen.saturated, seen.empty, seen.pixels) == ((3, 6), (8,), 0, 3000)
    assert seen.values[::4] == pytest.approx((cube.min(), cube.max()))
    good = np.ones(12, bool)
    good[[3, 8]] = False
    assert survey(Scene(cube, good_bands=good)).noisy == (6,)  # numbers of bands are those of the cube
    assert survey(Scene(cube, good_bands=good)).saturated == ()


def test_a_scene_of_noise_alone_has_no_striking_band() -> None:
    assert survey(Scene(rng.normal(size=(60, 50, 8)))).noisy == ()


def test_pixels_without_data_are_counted_and_left_out() -> None:
    cube = smooth()
    cube[:15] = -9999
    seen = survey(Scene(cube, nodata=-9999))
    assert seen.empty == pytest.approx(0.25)
    assert seen.values[0] > 0
    assert survey(Scene(np.full((4, 4, 3), np.nan))).empty == 1


def test_few_tiles_of_a_large_file_are_decoded() -> None:
    reader = Tiled((40000, 30000, 400))
    cube = LazyCube(reader, (0, 1, 2))
    spans = list(row_spans(cube, 20000))
    assert (spans[0][0], spans[-1][0]) == (0, 39999)
    assert survey(Scene(cube)).pixels >= 1000
    assert len(reader.tiles) * 64 * 64 * 400 * 4 <= 600 * 2**20
    assert len({column for _, column in reader.tiles}) > 8  # all over the scene, not one column of tiles


@pytest.mark.parametrize("kind", ["npy", "tif", "h5", "v7.3", "bsq", "bil", "bip"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_thin_is_every_step_th_pixel(tmp_path: Path, kind: str, step: int) -> None:
    cube = rng.integers(1, 4000, (9, 6, 12)).astype(np.uint16)
    cube[3, 3] = 0
    thin = ThinCube(read_array(write_any(tmp_path, kind, cube), ndim=3), step, 0)
    expected = np.where(cube == 0, np.nan, cube)[::step, ::step]
    assert thin.shape == expected.shape
    for band in (0, 5, 11):
        if kind == "tif" and step > 1:  # GDAL picks the nearest pixel of its own
            assert set(thin[:, :, band].ravel()[1:]) <= {*cube[..., band].ravel(), *thin[:, :, band].ravel()}
        else:
            np.testing.assert_array_equal(thin[:, :, band], expected[..., band])


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0), (0, 2, 1)])
def test_thin_of_a_file_mapped_in_any_order(tmp_path: Path, axes: tuple[int, ...]) -> None:
    cube = rng.integers(1, 4000, (9, 7, 5)).astype(np.int32)
    (tmp_path / "raw").write_bytes(cube.tobytes())
    lazy = LazyCube(FlatWindows(tmp_path / "raw", cube.shape, cube.dtype, 0), axes)
    for band in range(lazy.shape[2]):
        np.testing.assert_array_equal(ThinCube(lazy, 2)[:, :, band], cube.transpose(axes)[::2, ::2, band])


def test_windows_say_what_the_whole_cube_says(tmp_path: Path) -> None:
    cube = rng.normal(size=(30, 20, 6)).astype(np.float32)
    cube[2, 3], cube[5, 5, 2], cube[9, 9, :3], cube[7, 7, 4] = -9999, np.inf, -9999, np.nan
    good = np.array([1, 1, 1, 1, 0, 1], bool)
    whole = find_valid(Scene(cube, good_bands=good, nodata=-9999))
    assert whole is not None
    assert list(map(tuple, np.argwhere(~whole))) == [(2, 3), (5, 5)]
    for at in (np.s_[0:9, 0:8], np.s_[4:30, 3:20]):
        np.testing.assert_array_equal(valid_in(cube[at], good=good, nodata=-9999), whole[at])
    assert valid_in(CUBE, nodata=-9999).all()  # unsigned numbers cannot be that


def test_a_scene_opened_without_a_scan(tmp_path: Path) -> None:
    cube = rng.integers(1, 4000, (70, 50, 12)).astype(np.int16)
    cube[60:, 40:] = -5
    gt = np.zeros((70, 50), np.uint8)
    gt[10:14, 5:9], gt[58:64, 36:44] = 1, 2
    np.save(tmp_path / "gt.npy", gt)
    path = write_tiff(tmp_path / "cube.tif", cube, nodata=-5)
    lazy = read_scene(path, labels=tmp_path / "gt.npy", scan=False)
    full = read_scene(path, labels=tmp_path / "gt.npy")
    assert lazy.valid is None
    assert lazy.nodata == full.nodata == -5
    np.testing.assert_array_equal(lazy.labelled(), full.labelled())
    np.testing.assert_array_equal(lazy.class_counts(), full.class_counts())
    part: Any = np.s_[50:70, 30:50]
    np.testing.assert_array_equal(valid_in(lazy.cube[part], good=lazy.good_bands, nodata=lazy.nodata), full.valid[part])


def test_only_windows_with_labels_are_read() -> None:
    reader = Tiled((4000, 3000, 10))
    labels = np.full((4000, 3000), -1, np.int16)
    labels[1000:1010, 2000:2010] = 0
    empty = without_data(Scene(LazyCube(reader, (0, 1, 2)), labels, classes=("a",)))
    assert not empty.any()
    assert len(reader.tiles) <= 4
