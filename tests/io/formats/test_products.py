"""Satellite products in the layout their descriptions state: values, wavelengths, coordinates, gaps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from written import serves_threads_and_pickles

from hyperseg.core import DataFileError
from hyperseg.io.formats import list_arrays
from hyperseg.io.formats.windows import LazyCube
from hyperseg.io.look.thin import ThinCube
from hyperseg.io.read import open_array, read_scene

RNG = np.random.default_rng(0)
WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)

# --- NEON: 30 rows, 20 columns, 14 bands of 1 m
NEON = np.round(RNG.random((30, 20, 14)) * 4000 + 100).astype(np.int16)
NEON[:2] = -9999
NEON_NM = np.linspace(400, 2500, 14).round(1)


def write_neon(folder: Path) -> Path:
    path = folder / "NEON_D01_SITE_DP3_reflectance.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("SITE/Reflectance/Reflectance_Data", data=NEON, compression="gzip")
        data.attrs.update({"Scale_Factor": 10000.0, "Data_Ignore_Value": -9999.0})
        data.attrs["Band_Window_1_Nanometers"] = np.array([1340.0, 1445.0])
        about = file.create_group("SITE/Reflectance/Metadata")
        about["Spectral_Data/Wavelength"], about["Spectral_Data/FWHM"] = NEON_NM, np.full(14, 6.0)
        place = about.create_group("Coordinate_System")
        place["Map_Info"] = "UTM,  1.000,  1.000, 731000.00, 4714000.00, 1.0, 1.0, 18,  North, WGS-84, units=Meters, 0"
        place["EPSG Code"] = "32618"
    return path


def test_neon_says_where_it_lies_and_what_its_numbers_mean(tmp_path: Path) -> None:
    path = write_neon(tmp_path)
    scene = read_scene(path)
    np.testing.assert_array_equal(np.asarray(scene.cube), NEON)
    assert scene.grid.affine == (1.0, 0.0, 731000.0, 0.0, -1.0, 4714000.0)
    assert (scene.grid.crs, scene.grid.unit, scene.scale, scene.nodata) == ("EPSG:32618", "m", 10000.0, -9999.0)
    np.testing.assert_allclose(scene.wavelengths_nm, NEON_NM)
    assert list(np.flatnonzero(~scene.good_bands)) == [6]  # 1369 nm, where water takes all light
    assert list(np.flatnonzero(~scene.valid.any(axis=1))) == [0, 1]
    raw = read_scene(f"{path}:SITE/Reflectance/Reflectance_Data")
    np.testing.assert_array_equal(np.asarray(raw.cube), NEON)


# --- EMIT: a swath of 90 x 70 pixels lying askew in a map of 100 x 130
SWATH = RNG.random((90, 70, 16)).astype(np.float32)
SWATH[5, 5] = -9999


def glt() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices((100, 130))
    x, y = (columns - 20 + rows // 4), (rows - 3 - columns // 10)
    inside = (x >= 1) & (x <= 70) & (y >= 1) & (y <= 90)
    return np.where(inside, x, 0).astype(np.int32), np.where(inside, y, 0).astype(np.int32)


def write_emit(folder: Path, *, beyond: int = 0, fill: int | None = None) -> Path:
    path = folder / "EMIT_L2A_RFL_001_20230101T000000_2300000_001.nc"
    x, y = glt()
    with h5py.File(path, "w") as file:
        cube = file.create_dataset("reflectance", data=SWATH, chunks=(10, 70, 8), compression="gzip")
        cube.attrs["_FillValue"] = np.float32([-9999.0])
        bands = file.create_group("sensor_band_parameters")
        bands["wavelengths"] = np.linspace(381, 2493, 16).astype(np.float32)
        bands["fwhm"] = np.full(16, 8.5, np.float32)
        bands["good_wavelengths"] = np.r_[np.ones(10), 0, 0, np.ones(4)].astype(np.uint8)
        place = file.create_group("location")
        for name in ("lat", "lon", "elev"):
            place[name] = np.zeros(SWATH.shape[:2])
        place["glt_x"], place["glt_y"] = x + beyond * (x > 0), y
        if fill is not None:
            for key in ("glt_x", "glt_y"):
                place[key][...] = np.where(place[key][...] == 0, fill, place[key][...])
                place[key].attrs["_FillValue"] = np.int32([fill])
        file.attrs["geotransform"] = np.array([-116.5, 0.0005, 0.0, 33.7, 0.0, -0.0005])
        file.attrs["spatial_ref"] = WKT
    return path


def ortho() -> np.ndarray:
    x, y = glt()
    return np.where((x > 0)[..., None], SWATH[y - 1, x - 1], np.float32(-9999))


def test_emit_lies_on_its_map(tmp_path: Path) -> None:
    scene = read_scene(write_emit(tmp_path))
    np.testing.assert_array_equal(np.asarray(scene.cube), ortho())
    assert scene.grid.affine == (0.0005, 0.0, -116.5, 0.0, -0.0005, 33.7)
    assert scene.grid.crs == "EPSG:4326"
    np.testing.assert_allclose(scene.wavelengths_nm, np.linspace(381, 2493, 16), rtol=1e-6)
    assert list(np.flatnonzero(~scene.good_bands)) == [10, 11]
    np.testing.assert_array_equal(scene.valid, ortho()[..., 0] != -9999)
    assert (scene.scale, scene.nodata) == (1.0, -9999.0)


def test_emit_tables_may_say_nothing_by_a_fill_value(tmp_path: Path) -> None:
    np.testing.assert_array_equal(np.asarray(read_scene(write_emit(tmp_path, fill=-9999)).cube), ortho())


def test_emit_windows_are_slices_and_read_only_the_swath_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy = read_scene(write_emit(tmp_path), scan=False).cube
    assert isinstance(lazy, LazyCube)
    whole = ortho()
    for key in (np.s_[3:90, 7:120, 2:9], np.s_[50, 60], np.s_[::7, ::11, 3], np.s_[0:2, 0:2]):
        np.testing.assert_array_equal(lazy[key], whole[key])
    seen: list[tuple[slice, ...]] = []
    plain = h5py.Dataset.__getitem__

    def counted(self: h5py.Dataset, key: object, **more: object) -> object:
        if self.name == "/reflectance":
            seen.append(key)
        return plain(self, key, **more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    np.testing.assert_array_equal(lazy[40:44, 50:55, 1:3], whole[40:44, 50:55, 1:3])
    ((rows, columns, bands),) = seen
    assert rows.stop - rows.start <= 6
    assert columns.stop - columns.start <= 8
    assert (bands.start, bands.stop) == (1, 3)


def test_emit_raw_swath_by_name(tmp_path: Path) -> None:
    path = write_emit(tmp_path)
    scene = read_scene(f"{path}:reflectance")
    np.testing.assert_array_equal(np.asarray(scene.cube), SWATH)
    np.testing.assert_allclose(scene.wavelengths_nm, np.linspace(381, 2493, 16), rtol=1e-6)
    assert scene.good_bands.sum() == 14
    assert scene.grid.affine is None
    assert "location/glt_x" in list_arrays(path)


def test_emit_whose_table_points_outside_is_refused(tmp_path: Path) -> None:
    path = write_emit(tmp_path, beyond=500)
    with pytest.raises(DataFileError, match=r"EMIT_L2A.*its GLT points to .* of a swath of 90 x 70") as caught:
        read_scene(path)
    assert "\n" not in str(caught.value)


def test_emit_from_afar_is_the_map_thinned(tmp_path: Path) -> None:
    cube = read_scene(write_emit(tmp_path), scan=False).cube
    expected = np.where(ortho() == -9999, np.nan, ortho())[::3, ::3, 5]
    np.testing.assert_array_equal(ThinCube(cube, 3, -9999.0)[:, :, 5], expected)


# --- PRISMA: descending wavelengths, VNIR to 1010 nm (with one band that does not exist), SWIR from 940 nm
VNIR_NM = np.array([1010.0, 970.0, 930.0, 800.0, 650.0, 550.0, 450.0, 0.0], np.float32)
SWIR_NM = np.array([2450.0, 2200.0, 1900.0, 1600.0, 1300.0, 1050.0, 990.0, 940.0], np.float32)
VNIR_FLAGS, SWIR_FLAGS = np.array([1, 1, 1, 1, 1, 1, 1, 0]), np.array([1, 1, 0, 1, 1, 1, 1, 1])
VNIR = RNG.integers(1, 65535, (12, 8, 9)).astype(np.uint16)
SWIR = RNG.integers(1, 65535, (12, 8, 9)).astype(np.uint16)
VNIR[2, :, 3], SWIR[2, :, 3] = 0, 0


def write_prisma(
    folder: Path, *, vnir: tuple[float, float] = (0, 1.3), swir: tuple[float, float] = (0, 1.3), edges: bool = False
) -> Path:
    path = folder / "PRS_L2D_STD_20230101000000_20230101000004_0001.he5"
    with h5py.File(path, "w") as file:
        fields = file.create_group("HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields")
        fields["VNIR_Cube"], fields["SWIR_Cube"] = VNIR, SWIR
        file.create_group("HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields")["Cube"] = np.ones((24, 18), np.uint16)
        about = file.attrs
        about["List_Cw_Vnir"], about["List_Cw_Swir"] = VNIR_NM, SWIR_NM
        about["List_Cw_Vnir_Flags"], about["List_Cw_Swir_Flags"] = VNIR_FLAGS, SWIR_FLAGS
        about["L2ScaleVnirMin"], about["L2ScaleVnirMax"] = map(np.float32, vnir)
        about["L2ScaleSwirMin"], about["L2ScaleSwirMax"] = map(np.float32, swir)
        about["Epsg_Code"] = np.uint32(32632)
        about["Product_ULcorner_easting"], about["Product_ULcorner_northing"] = 500000.0, 5000000.0
        gaps = (9, 12) if edges else (8, 11)
        about["Product_LRcorner_easting"] = 500000.0 + 30 * gaps[0]
        about["Product_LRcorner_northing"] = 5000000.0 - 30 * gaps[1]
    return path


def joined() -> tuple[np.ndarray, np.ndarray]:
    """Digital numbers (12, 9, 15) and centres, sorted by wavelength, without the band that does not exist."""
    centres = np.r_[VNIR_NM[:7], SWIR_NM]
    cube = np.concatenate([VNIR[:, :7], SWIR], axis=1).transpose(0, 2, 1)
    order = np.argsort(centres)
    return cube[..., order], centres[order]


def test_prisma_detectors_are_one_cube(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene = read_scene(write_prisma(tmp_path))
    cube, centres = joined()
    np.testing.assert_array_equal(np.asarray(scene.cube), cube)
    np.testing.assert_allclose(scene.wavelengths_nm, centres)
    assert scene.scale == pytest.approx(65535 / 1.3, rel=1e-6)
    bad = centres[~scene.good_bands]
    assert sorted(bad) == [970, 1010, 1900]  # VNIR where SWIR has begun, and the flagged one
    assert "overlap from 940 to 1010 nm; there 2 VNIR bands" in caplog.text
    assert list(map(tuple, np.argwhere(~scene.valid))) == [(2, 3)]
    assert scene.grid.affine == (30.0, 0.0, 500000.0 - 15, 0.0, -30.0, 5000000.0 + 15)
    assert (scene.grid.crs, scene.grid.spacing) == ("EPSG:32632", (30.0, 30.0))


def test_prisma_corners_may_be_outer_edges(tmp_path: Path) -> None:
    scene = read_scene(write_prisma(tmp_path, edges=True))
    assert scene.grid.affine == (30.0, 0.0, 500000.0, 0.0, -30.0, 5000000.0)


def test_prisma_detectors_of_two_scales_are_read_as_reflectance(tmp_path: Path) -> None:
    scene = read_scene(write_prisma(tmp_path, vnir=(0.01, 1.0), swir=(0.0, 1.5)))
    cube, centres = joined()
    vnir = np.isin(centres, VNIR_NM)
    low, high = np.where(vnir, 0.01, 0.0), np.where(vnir, 1.0, 1.5)
    expected = np.where(cube == 0, 0, low + cube * (high - low) / 65535)
    np.testing.assert_allclose(np.asarray(scene.cube), expected, rtol=1e-5)
    assert scene.scale == 1.0
    assert list(map(tuple, np.argwhere(~scene.valid))) == [(2, 3)]


# --- EnMAP: VNIR 420 to 990 nm, then SWIR 905 to 2440 nm
ENMAP_NM = np.r_[np.linspace(420, 990, 7), np.linspace(905, 2440, 6)]
ENMAP = RNG.integers(1, 9000, (8, 7, 13)).astype(np.int16)
ENMAP[1, 1] = -32768


def write_enmap(folder: Path, *, image: str = "SPECTRAL_IMAGE.TIF", bands: int = 13, broken: bool = False) -> Path:
    import rasterio

    stem = "ENMAP01-____L2A-DT0000000001_20230101T000000Z_001_V010303_20230102T000000Z"
    path = folder / f"{stem}-{image}"
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=7, count=13, dtype="int16", crs="EPSG:32633",
        transform=rasterio.Affine(30, 0, 400000, 0, -30, 5300000),
    ) as file:  # fmt: skip
        file.write(np.moveaxis(ENMAP, -1, 0))
    each = "".join(
        f'<bandID number="{i + 1}"><wavelengthCenterOfBand>{nm}</wavelengthCenterOfBand><FWHMOfBand>7</FWHMOfBand>'
        "<GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i, nm in enumerate(ENMAP_NM[:bands])
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><level_X><metadata/><specific>'
        f"<bandCharacterisation>{each}</bandCharacterisation><backgroundValue>-32768</backgroundValue>"
        "<vnirProductQuality><expectedChannelsList>1,2,3,4,5,6,7</expectedChannelsList></vnirProductQuality>"
        "<swirProductQuality><expectedChannelsList>8,9,10,12,13</expectedChannelsList></swirProductQuality>"
        "</specific></level_X>"
    )
    (folder / f"{stem}-METADATA.XML").write_text(text[: len(text) // 2] if broken else text)
    return path


@pytest.mark.parametrize("image", ["SPECTRAL_IMAGE.TIF", "SPECTRAL_IMAGE_COG.tiff", "SPECTRAL_IMAGE.tif"])
def test_enmap_by_either_file(tmp_path: Path, image: str) -> None:
    path = write_enmap(tmp_path, image=image)
    order = np.argsort(ENMAP_NM)
    for named in (path, next(tmp_path.glob("*METADATA.XML"))):
        scene = read_scene(named)
        assert isinstance(scene.cube, LazyCube)
        np.testing.assert_array_equal(np.asarray(scene.cube), ENMAP[..., order])
        np.testing.assert_array_equal(scene.cube[2:5, 1:3, 4:9], ENMAP[..., order][2:5, 1:3, 4:9])
        np.testing.assert_allclose(scene.wavelengths_nm, ENMAP_NM[order])
        assert (scene.scale, scene.nodata) == (10000.0, -32768.0)
        bad = set(ENMAP_NM[order][~scene.good_bands])
        assert bad == {ENMAP_NM[10], *ENMAP_NM[:7][ENMAP_NM[:7] >= 905]}
        assert list(map(tuple, np.argwhere(~scene.valid))) == [(1, 1)]
        assert (scene.grid.crs, scene.grid.spacing) == ("EPSG:32633", (30.0, 30.0))


def test_enmap_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = write_enmap(tmp_path, bands=12)
    with pytest.raises(DataFileError, match=r"names 12 bands, .*SPECTRAL_IMAGE.TIF has 13"):
        read_scene(path)
    about = next(tmp_path.glob("*METADATA.XML"))
    path.unlink()
    with pytest.raises(DataFileError, match="is not beside it"):
        read_scene(about)
    write_enmap(tmp_path, broken=True)
    with pytest.raises(DataFileError, match="is no whole XML file"):
        read_scene(about)


@pytest.mark.parametrize("write", [write_emit, write_prisma, write_enmap])
def test_products_serve_windows_threads_and_pickles(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    lazy = open_array(write(tmp_path), ndim=3).array
    assert isinstance(lazy, LazyCube)
    whole = np.asarray(lazy)
    serves_threads_and_pickles(lazy, whole)
    for key in (np.s_[2:7, 1:4, 3:11], np.s_[0, :, 5], np.s_[::3, ::2, -1]):
        np.testing.assert_array_equal(lazy[key], whole[key])
