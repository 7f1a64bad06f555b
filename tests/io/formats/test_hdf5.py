"""netCDF and HDF5: axes by name, CF grid mappings, scale and fill; and files made to keep a reader busy."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from written import CUBE

from hyperseg.io.formats import list_arrays
from hyperseg.io.grid_mapping import mapped_crs
from hyperseg.io.read import read_scene

NM = np.linspace(450, 2300, 12)
X, Y = 500005 + 10.0 * np.arange(5), 5799995 - 10.0 * np.arange(7)
AFFINE = (10.0, 0.0, 500000.0, 0.0, -10.0, 5800000.0)
UTM33 = rasterio.crs.CRS.from_epsg(32633).to_wkt()


def write_netcdf(
    path: Path,
    mapping: dict[str, Any] | None,
    *,
    group: str = "",
    names: tuple[str, str] = ("y", "x"),
    **attributes: Any,
) -> Path:
    with h5py.File(path, "w") as file:
        inside = file.require_group(group) if group else file
        data = inside.create_dataset("reflectance", data=CUBE.transpose(2, 0, 1), compression="gzip")
        for axis, (name, values) in enumerate((("wavelength", NM), (names[0], Y), (names[1], X))):
            scale = inside.create_dataset(name, data=values)
            scale.make_scale(name)
            data.dims[axis].attach_scale(scale)
        inside["wavelength"].attrs["units"] = "nm"
        data.attrs.update(attributes)
        if mapping is not None:
            data.attrs["grid_mapping"] = "crs"
            inside["crs"] = 0
            inside["crs"].attrs.update(mapping)
    return path


@pytest.mark.parametrize("group", ["", "bands", "a/b"])
def test_netcdf_says_where_and_what(tmp_path: Path, group: str) -> None:
    path = write_netcdf(
        tmp_path / "cf.nc", {"crs_wkt": UTM33}, group=group, scale_factor=np.float32([1e-4]), _FillValue=np.uint16([0])
    )
    scene = read_scene(path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert (scene.grid.crs, scene.grid.affine) == ("EPSG:32633", AFFINE)
    assert (scene.nodata, scene.scale) == (0.0, 10000.0)


def test_coordinates_are_right_where_a_geotransform_is_the_whole_ones(tmp_path: Path) -> None:
    for left, expected in (("500000", AFFINE), ("400000", AFFINE)):
        told = {"spatial_ref": UTM33, "GeoTransform": f"{left} 10 0 5800000 0 -10"}
        assert read_scene(write_netcdf(tmp_path / "cf.nc", told)).grid.affine == expected
    told["GeoTransform"] = "not six numbers at all no"
    assert read_scene(write_netcdf(tmp_path / "cf.nc", told)).grid.affine == AFFINE


UTM_WORDS = {
    "grid_mapping_name": "transverse_mercator", "longitude_of_central_meridian": 15.0,
    "latitude_of_projection_origin": 0.0, "scale_factor_at_central_meridian": 0.9996, "false_easting": 500000.0,
    "false_northing": 0.0, "semi_major_axis": 6378137.0, "inverse_flattening": 298.257223563,
}  # fmt: skip
POLAR = {
    "grid_mapping_name": "polar_stereographic", "straight_vertical_longitude_from_pole": -45.0,
    "standard_parallel": 70.0, "false_easting": 0.0, "false_northing": 0.0,
}  # fmt: skip
LAEA = {
    "grid_mapping_name": "lambert_azimuthal_equal_area", "longitude_of_projection_origin": 10.0,
    "latitude_of_projection_origin": 52.0, "false_easting": 4321000.0, "false_northing": 3210000.0,
}  # fmt: skip
CONIC = {
    "grid_mapping_name": "lambert_conformal_conic", "standard_parallel": np.array([49.0, 44.0]),
    "longitude_of_central_meridian": 3.0, "latitude_of_projection_origin": 46.5, "false_easting": 700000.0,
    "false_northing": 6600000.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("mapping", "like"),
    [
        (UTM_WORDS, 32633), ({"grid_mapping_name": "universal_transverse_mercator", "utm_zone_number": 33}, 32633),
        ({"grid_mapping_name": "universal_transverse_mercator", "utm_zone_number": -33}, 32733), (POLAR, 3413),
        (LAEA, 3035), (CONIC, 2154), ({"grid_mapping_name": "latitude_longitude"}, 4326),
    ],
)  # fmt: skip
def test_parameters_make_the_same_map_as_the_code(mapping: dict[str, Any], like: int) -> None:
    from rasterio.warp import transform

    text = mapped_crs(mapping)
    assert text is not None
    place = {2154: (3.5, 46.0), 3035: (12.0, 50.0), 3413: (-40.0, 75.0), 32733: (16.0, -20.0)}.get(like, (16.0, 50.0))
    ours, theirs = (
        transform("EPSG:4326", crs, [place[0]], [place[1]])
        for crs in (rasterio.crs.CRS.from_string(text), f"EPSG:{like}")
    )
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_degrees_without_a_mapping_and_unknown_mappings(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / "geo.nc", None, names=("lat", "lon"))
    assert read_scene(path).grid.crs == "EPSG:4326"
    assert mapped_crs({"grid_mapping_name": "of_the_moon"}) is None
    assert read_scene(write_netcdf(tmp_path / "odd.nc", {"crs_wkt": "nonsense"})).grid.crs is None


def test_links_groups_without_end_and_rings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "ring.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = CUBE
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["out"] = h5py.ExternalLink("/dev/zero", "/x")
        file.create_group("loop")
        file["loop/self"], file["loop/root"] = file["loop"], file["/"]
        deep = file
        for _ in range(2000):
            deep = deep.create_group("g")
        for i in range(8000):
            file.create_group(f"many/{i}")
    start = time.perf_counter()
    assert list(list_arrays(path)) == ["cube"]
    np.testing.assert_array_equal(np.asarray(read_scene(path).cube), CUBE)
    assert time.perf_counter() - start < 20
