"""Reading: all formats give the same cube, windows are slices of the whole, real files are as documented."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from written import AFFINE, CUBE, WAVELENGTHS_UM, serves_threads_and_pickles, write_any, write_envi, write_tiff

from hyperseg.core import DataFileError, Grid, Scene, SceneError
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.formats.windows import LazyCube, windows_of
from hyperseg.io.look.bands import find_bad_bands
from hyperseg.io.look.valid import find_valid
from hyperseg.io.read import read_array, read_labels, read_scene, split_key


@pytest.mark.parametrize("kind", ["v7.3", "h5", "npy", "bsq", "bil", "bip", "tif"])
def test_these_formats_are_not_read_until_sliced(tmp_path: Path, kind: str) -> None:
    assert isinstance(read_array(write_any(tmp_path, kind)), LazyCube | np.memmap)


index = st.one_of(
    st.integers(-4, 3),
    st.slices(4),
    st.lists(st.integers(-4, 3), min_size=0, max_size=4).map(lambda v: np.array(v, dtype=int)),
    st.lists(st.booleans(), min_size=4, max_size=4).map(np.array),
)


@pytest.fixture(scope="module")
def lazy_pair(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[LazyCube, np.ndarray]]:
    folder = tmp_path_factory.mktemp("lazy")
    whole = np.random.default_rng(1).normal(size=(4, 4, 4)).astype(np.float32)
    pairs = []
    for kind in ("tif", "h5", "v7.3"):
        lazy = read_array(write_any(folder, kind, whole))
        assert isinstance(lazy, LazyCube)
        pairs += [(lazy, whole), (lazy.move_last(0), np.moveaxis(whole, 0, -1))]
    return pairs


@given(rows=index, columns=st.slices(4), bands=index, how=st.sampled_from(["3", "2", "1", "last"]))
@settings(max_examples=60, deadline=None)
def test_a_window_is_the_slice_of_the_whole(
    lazy_pair: list[tuple[LazyCube, np.ndarray]], rows: Any, columns: Any, bands: Any, how: str
) -> None:
    key = {"3": (rows, columns, bands), "2": (rows, columns), "1": rows, "last": (..., bands)}[how]
    if how == "3" and isinstance(rows, np.ndarray) and isinstance(bands, np.ndarray):
        key = (rows, columns, slice(None))
    for lazy, whole in lazy_pair:
        np.testing.assert_array_equal(lazy[key], whole[key])


def test_masks_and_pixel_lists_pick_as_numpy_does(lazy_pair: list[tuple[LazyCube, np.ndarray]]) -> None:
    mask = np.eye(4, dtype=bool)
    for lazy, whole in lazy_pair:
        np.testing.assert_array_equal(lazy[mask], whole[mask])
        np.testing.assert_array_equal(lazy[[0, 3], [1, 2]], whole[[0, 3], [1, 2]])
        for wrong in (4, -5, [9], (0, 0, 0, 0), None, 1.5, (..., ...)):
            with pytest.raises(IndexError):
                lazy[wrong]


def test_a_window_reads_that_window_alone() -> None:
    read: list[tuple[tuple[int, int], ...]] = []

    class Counting:
        shape, dtype = (100, 80, 60), np.dtype(np.uint8)

        def read(self, window: tuple[tuple[int, int], ...]) -> np.ndarray:
            read.append(window)
            return np.zeros([b - a for a, b in window], np.uint8)

    lazy = LazyCube(Counting(), (2, 1, 0))
    assert lazy.shape == (60, 80, 100)
    assert lazy[3:5, ::-2, 7].shape == (2, 40)
    assert lazy[3:3].shape == (0, 80, 100)
    assert read == [((7, 8), (1, 80), (3, 5))]


@pytest.mark.parametrize("kind", ["tif", "h5", "v7.3"])
def test_a_lazy_cube_serves_threads_forks_and_pickles(tmp_path: Path, kind: str) -> None:
    lazy = read_array(write_any(tmp_path, kind))
    np.testing.assert_array_equal(lazy[0], CUBE[0])  # opened in this process before all that follows
    serves_threads_and_pickles(lazy, CUBE)
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(lazy[3:], CUBE[3:]) else 1)
        assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(lazy[1], CUBE[1])


def test_split_key_takes_the_last_colon_unless_it_belongs_to_the_path(tmp_path: Path) -> None:
    for name, key in (("scene.mat", "Y"), ("scene.h5", "group/cube"), (r"C:\data\scene.mat", "Y")):
        assert split_key(f"{name}:{key}") == (Path(name), key)
    for name in ("scene.mat", r"C:\data\scene.mat", "C:/data/scene.mat"):
        assert split_key(name) == (Path(name), None)
    assert split_key("https://host/scene.tif")[1] is None
    odd = tmp_path / "odd:name.npy"
    odd.touch()
    assert split_key(odd) == (odd, None)


def test_geotiff_grid_no_data_and_wavelengths(tmp_path: Path) -> None:
    cube = CUBE.copy()
    cube[2, 3] = 0
    cube[4, 4, 0] = 0  # no-data in one band alone is no hole
    path = write_tiff(tmp_path / "scene.tif", cube, nodata=0)
    with rasterio.open(path, "r+") as file:
        for band, wavelength in enumerate(WAVELENGTHS_UM, start=1):
            file.update_tags(band, wavelength=str(wavelength), wavelength_units="Micrometers")
    scene = read_scene(path)
    assert scene.grid == Grid((10.0, 10.0), "m", "EPSG:32632", AFFINE)
    np.testing.assert_allclose(scene.wavelengths_nm, WAVELENGTHS_UM * 1000)
    assert list(map(tuple, np.argwhere(~scene.valid))) == [(2, 3)]


def test_labels_show_where_the_bands_are(tmp_path: Path) -> None:
    gt = np.zeros((7, 5), np.uint8)
    gt[1, 2], gt[3, 3], gt[6, 0] = 9, 4, 9
    np.save(tmp_path / "gt.npy", gt)
    for axis in (0, 1, 2):
        path = tmp_path / f"cube{axis}.npy"
        np.save(path, np.moveaxis(CUBE, -1, axis))
        for labels in (tmp_path / "gt.npy", gt):
            scene = read_scene(path, labels=labels)
            np.testing.assert_array_equal(scene.cube, CUBE)
            assert scene.classes == ("class 4", "class 9")
            assert len(set(scene.colours)) == 2
            np.testing.assert_array_equal(scene.labels, np.select([gt == 4, gt == 9], [0, 1], -1))
    np.testing.assert_array_equal(
        read_scene(tmp_path / "cube0.npy", options=CubeOptions(axes="bands,rows,columns")).cube, CUBE
    )
    assert read_scene(tmp_path / "cube0.npy").cube.shape == (12, 7, 5)


def test_wavelengths_show_where_the_bands_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "bil.npz", cube=CUBE.transpose(0, 2, 1), wavelength_um=WAVELENGTHS_UM)
    scene = read_scene(tmp_path / "bil.npz")
    np.testing.assert_array_equal(scene.cube, CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, WAVELENGTHS_UM * 1000)


def test_label_codes_names_and_colours(tmp_path: Path) -> None:
    header = write_envi(
        tmp_path,
        np.array([[[0], [1], [3]], [[3], [3], [2]]], np.uint8),
        "bsq",
        "class names = {Unclassified, water, bare, forest}\nclass lookup = {0,0,0, 0,0,255, 99,99,0, 0,128,0}\n",
    )
    labels = read_labels(header, (2, 3))
    assert labels.codes.tolist() == [[-1, 0, 2], [2, 2, 1]]
    assert labels.classes == ("water", "bare", "forest")
    assert labels.colours == ((0, 0, 255), (99, 99, 0), (0, 128, 0))
    assert labels.file_codes == (1, 2, 3)
    codes = np.array([[255, 7, 0], [7, 30, 255]], np.uint8)
    tiff = write_tiff(tmp_path / "gt.tif", codes[..., None], nodata=255)
    labels = read_labels(tiff, (2, 3))  # another value than 0 is declared to be unlabelled: 0 is a class
    assert labels.codes.tolist() == [[-1, 1, 0], [1, 2, -1]]
    assert (labels.classes, labels.colours) == (("class 0", "class 7", "class 30"), None)
    assert (labels.file_codes, labels.numbered) == ((0, 7, 30), False)
    np.save(tmp_path / "f.npy", np.array([[np.nan, 2.0], [1.0, 0.0]]))
    assert read_labels(tmp_path / "f.npy", (2, 2)).codes.tolist() == [[-1, 1], [0, -1]]


def test_a_cube_without_coordinates_lies_where_its_labels_lie(tmp_path: Path) -> None:
    labels = write_tiff(tmp_path / "gt.tif", np.ones((7, 5, 1), np.uint8))
    assert read_scene(write_tiff(tmp_path / "scene.tif", CUBE), labels=labels).n_classes == 1
    np.save(tmp_path / "bare.npy", CUBE)
    assert read_scene(tmp_path / "bare.npy", labels=labels).grid.crs == "EPSG:32632"


def test_bad_bands_are_those_without_information() -> None:
    cube = np.random.default_rng(2).normal(size=(40, 30, 9)).astype(np.float32)
    cube[..., 1] = np.nan
    cube[..., 2] = 5.0
    cube[::2, :, 4] = np.inf
    cube[..., 5] = -9999
    cube[0, 0] = np.nan  # a hole in the scene is no fault of its bands
    cube[1, 1, 8] = np.nan  # nor is a single pixel: the pixel goes, not the band
    bbl = np.ones(9, bool)
    bbl[7] = False
    good, reasons = find_bad_bands(cube, bbl=bbl, nodata=-9999)
    assert list(np.flatnonzero(~good)) == [1, 2, 4, 5, 7]
    assert any("band 7: marked bad" in r for r in reasons)
    assert any("band 2: constant" in r for r in reasons)
    valid = find_valid(Scene(cube, good_bands=good, nodata=-9999))
    assert list(map(tuple, np.argwhere(~valid))) == [(0, 0), (1, 1)]
    assert np.isfinite(cube[valid][:, good]).all()
    half = np.zeros((40, 30), bool)
    half[1::2] = True
    assert find_bad_bands(cube, half)[0][4]


def test_subsample_is_bounded_and_sees_both_ends() -> None:
    seen: list[int] = []

    class Wide:
        shape, dtype = (5000, 9000, 4), np.dtype(np.float32)

        def __getitem__(self, key: Any) -> np.ndarray:
            rows, columns = key
            seen.append(rows.start)
            n = len(range(*columns.indices(9000)))
            return np.random.default_rng(rows.start).normal(size=(1, n, 4))

    find_bad_bands(Wide(), max_pixels=2000)
    assert (seen[0], seen[-1]) == (0, 4999)
    assert len(seen) <= 16 + 3  # and three corners


def test_few_bands_warn_and_a_picture_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "rgbn.npy", CUBE[..., :4])
    assert read_scene(tmp_path / "rgbn.npy").n_bands == 4
    assert "not hyperspectral" in caplog.text
    np.save(tmp_path / "flat.npy", CUBE[..., 0])
    with pytest.raises(SceneError, match="three axes"):
        read_scene(tmp_path / "flat.npy")


def test_indian_pines(shared_data: Path) -> None:
    folder = shared_data / "hsi" / "indian_pines"
    scene = read_scene(folder / "Indian_pines_corrected.mat", labels=folder / "Indian_pines_gt.mat")
    assert (scene.cube.shape, scene.n_classes, scene.class_counts().sum()) == ((145, 145, 200), 16, 10249)
    tr = read_labels(folder / "IndianTR123_temp123.tif", (145, 145))
    assert (tr.codes >= 0).sum() == 695
    npz = read_labels(f"{folder / 'disjoint_split_stdids.npz'}:train", (145, 145))
    np.testing.assert_array_equal(npz.codes >= 0, tr.codes >= 0)


def test_muufl(shared_data: Path) -> None:
    folder = shared_data / "hsi" / "muufl_gulfport"
    array = read_array(folder / "MUUFL_anomaly_100x100x64.mat", ndim=3)
    assert isinstance(array, LazyCube)
    assert array.shape == (100, 100, 64)
    with h5py.File(folder / "MUUFL_anomaly_100x100x64.mat") as file:
        np.testing.assert_array_equal(array[10:20, 3, 5:9], file["data"][5:9, 3, 10:20].T)
    scene = read_scene(folder / "MUUFL_anomaly_100x100x64.mat")
    assert scene.n_bands == 64
    several = folder / "muffle_dataset_130_90.mat"
    with pytest.raises(DataFileError, match=r"MPN \(90x90x5 float64\), Y \(90x90x64 float64\).*FILE:KEY"):
        read_scene(several)
    assert read_scene(f"{several}:Y").cube.shape == (90, 90, 64)
    assert read_array(several, ndim=2, key="DSM").shape == (90, 90)


def test_salton_sea_has_20_dead_bands(shared_data: Path) -> None:
    path = shared_data / "hsi" / "salton_sea" / "salton_sea_roi.mat"
    scene = read_scene(path)
    assert scene.cube.shape == (51, 56, 224)
    assert (~scene.good_bands).sum() == 20
    good, reasons = find_bad_bands(scene.cube)
    np.testing.assert_array_equal(good, scene.good_bands)
    assert len(reasons) == 1
    assert scene.wavelengths_nm[0] == pytest.approx(365.91366)
    assert np.isfinite(np.asarray(scene.cube)[..., good]).all()
    assert scene.valid is None


def test_pavia_university_masks(shared_data: Path) -> None:
    folder = shared_data / "hsi" / "pavia_university"
    gt = read_labels(folder / "PaviaU_gt.mat", (610, 340))
    assert len(gt.classes) == 9
    assert (gt.codes >= 0).sum() == 42776
    assert (read_labels(folder / "TRpaviaU_official3921.mat", (610, 340)).codes >= 0).sum() == 3921
    archive = f"{folder / 'paviaU_lr80x50.npz'}"
    scene = read_scene(archive + ":cube", labels=archive + ":gt")
    assert scene.cube.shape == (80, 50, 103)
    assert scene.class_counts().sum() == 530
    assert 400 < scene.wavelengths_nm[0] < 450
    with pytest.raises(DataFileError, match="only you know"):
        read_scene(archive + ":cube", labels=archive)


def test_landsat_windows(shared_data: Path) -> None:
    path = shared_data / "geotiff" / "olinda_landsat7" / "L7_ETMs.tif"
    scene = read_scene(path)
    assert isinstance(scene.cube, LazyCube)
    assert scene.cube.shape == (352, 349, 6)
    assert (scene.grid.crs, scene.grid.unit) == ("EPSG:31985", "m")
    assert scene.grid.spacing == pytest.approx((28.5, 28.5))
    with rasterio.open(path) as file:
        whole = np.moveaxis(file.read(), 0, -1)
    np.testing.assert_array_equal(scene.cube[100:140, 340:, 2:4], whole[100:140, 340:, 2:4])
    cover = shared_data / "geotiff" / "olinda_landsat7" / "lc.tif"
    labels = read_labels(cover, (46, 84))
    assert labels.file_codes == (11, 21, 22, 23, 24, 31, 42, 52, 71, 81, 82, 90, 95)
    assert len(set(labels.colours)) == len(labels.colours)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_windows_of_a_memory_map_are_its_slices(tmp_path: Path, axes: tuple[int, int, int], order: str) -> None:
    path = tmp_path / "cube.npy"
    np.save(path, np.asarray(CUBE, order=order))
    mapped = np.load(path, mmap_mode="r").transpose(axes)
    lazy = windows_of(mapped)
    assert lazy.shape == mapped.shape
    np.testing.assert_array_equal(lazy[...], mapped)
    np.testing.assert_array_equal(lazy[1:, :2, ::2], mapped[1:, :2, ::2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy))[0], mapped[0])
