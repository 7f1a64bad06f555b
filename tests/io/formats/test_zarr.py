"""Zarr stores and xarray's objects: the same cube as the array they were made of, read by window."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import serves_threads_and_pickles

from hyperseg.core import DataFileError, SceneError
from hyperseg.io.formats.windows import LazyCube
from hyperseg.io.read import open_array, read_scene

xr = pytest.importorskip("xarray")
zarr = pytest.importorskip("zarr")

CUBE = np.random.default_rng(0).integers(1, 4000, (9, 7, 12)).astype(np.int16)
NM = np.linspace(400, 2400, 12)
AFFINE = (20.0, 0.0, 500000.0, 0.0, -20.0, 4100000.0)


def labelled(**attrs: Any) -> Any:
    """CUBE as (band, y, x), as rioxarray opens rasters."""
    return xr.DataArray(
        CUBE.transpose(2, 0, 1),
        dims=("band", "y", "x"),
        coords={
            "band": np.arange(1, 13),
            "wavelength": ("band", NM / 1000, {"units": "um"}),
            "y": 4100000.0 - 20 * (np.arange(9) + 0.5),
            "x": 500000.0 + 20 * (np.arange(7) + 0.5),
        },
        name="reflectance",
        attrs=attrs,
    )


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_and_a_group(tmp_path: Path, version: int) -> None:
    alone = tmp_path / "alone.zarr"
    zarr.save_array(str(alone), CUBE, zarr_format=version)
    found = open_array(alone, ndim=3)
    np.testing.assert_array_equal(np.asarray(found.array), CUBE)
    assert found.about == f"Zarr version {version}"
    with pytest.raises(DataFileError, match=r"alone\.zarr: is one Zarr array"):
        read_scene(f"{alone}:cube")

    store = tmp_path / "scene"  # no suffix: known by what lies in it
    root = zarr.open_group(str(store), mode="w", zarr_format=version)
    root.create_array("a/cube", data=CUBE, chunks=(4, 4, 12))
    root["a/cube"].attrs["_FillValue"] = -9999
    root.create_array("a/wavelengths", data=NM)
    root.create_array("a/bbl", data=np.r_[np.ones(11), 0])
    scene = read_scene(store)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert list(np.flatnonzero(~scene.good_bands)) == [11]
    assert scene.nodata == -9999
    root.create_array("b/other", data=CUBE.astype(np.float32))
    with pytest.raises(DataFileError, match=r"a/cube \(9x7x12 int16\), b/other \(9x7x12 float32\)"):
        read_scene(store)
    assert read_scene(f"{store}:b/other").cube.dtype == np.float32


@pytest.mark.parametrize("version", [2, 3])
def test_what_xarray_writes(tmp_path: Path, version: int) -> None:
    import rioxarray  # noqa: F401

    path = tmp_path / "made.zarr"
    labelled().rio.write_crs("EPSG:32632").to_dataset().to_zarr(path, zarr_format=version, consolidated=False)
    scene = read_scene(path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert scene.grid.crs == "EPSG:32632"
    assert scene.grid.affine == pytest.approx(AFFINE)


def test_zarr_serves_windows_threads_and_pickles(tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    zarr.save_array(str(path), CUBE)
    lazy = open_array(path).array
    assert isinstance(lazy, LazyCube)
    for key in (np.s_[2:5, 1:3, 4:9], np.s_[8, ::-1, 3], np.s_[[0, 5], 2]):
        np.testing.assert_array_equal(lazy[key], CUBE[key])
    serves_threads_and_pickles(lazy, CUBE)


def test_without_zarr_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.zarr"
    zarr.save_array(str(path), CUBE)
    plain = builtins.__import__

    def absent(name: str, *args: Any, **more: Any) -> Any:
        if name == "zarr":
            raise ModuleNotFoundError("No module named 'zarr'", name="zarr")
        return plain(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DataFileError, match=r'c\.zarr: .*pip install "hyperseg\[cluster\]"'):
        read_scene(path)


@pytest.mark.parametrize("dims", [("band", "y", "x"), ("y", "x", "band"), ("x", "y", "band")])
def test_a_data_array_in_any_order_of_axes(dims: tuple[str, ...]) -> None:
    scene = read_scene(labelled(reflectance_scale_factor=10000.0, _FillValue=-9999).transpose(*dims))
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert scene.grid.affine == pytest.approx(AFFINE)
    assert (scene.name, scene.scale, scene.nodata) == ("reflectance", 10000.0, -9999.0)


def test_crs_of_rioxarray(tmp_path: Path) -> None:
    import rioxarray  # noqa: F401

    scene = read_scene(labelled().rio.write_crs("EPSG:32632")[:, 2:])
    assert scene.grid.crs == "EPSG:32632"
    assert scene.grid.affine == pytest.approx((20.0, 0.0, 500000.0, 0.0, -20.0, 4100000.0 - 40))
    assert scene.grid.spacing == pytest.approx((20.0, 20.0))


def test_dask_computes_the_window_alone() -> None:
    da = pytest.importorskip("dask.array")
    computed: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        where = block_info[None]["array-location"]
        computed.append(where)
        return np.ascontiguousarray(CUBE[tuple(slice(*w) for w in where)])

    chunked = da.map_blocks(block, chunks=((3, 3, 3), (7,), (12,)), dtype=CUBE.dtype, meta=CUBE[:0])
    scene = read_scene(xr.DataArray(chunked, dims=("y", "x", "wavelength"), coords={"wavelength": NM}), scan=False)
    assert isinstance(scene.cube, LazyCube)
    computed.clear()
    np.testing.assert_array_equal(scene.cube[4:6, 1:3], CUBE[4:6, 1:3])
    assert [tuple(where[0]) for where in computed] == [(3, 6)]


def test_data_sets_and_axes_nobody_knows() -> None:
    mask = labelled()[0].drop_vars(["wavelength", "band"]) > 0
    both = xr.Dataset({"cube": labelled(), "other": labelled().astype(np.float32), "mask": mask})
    with pytest.raises(DataFileError, match=r"cube \(12x9x7 int16\), other"):
        read_scene(both)
    assert read_scene(both, key="other").cube.dtype == np.float32
    assert read_scene(both[["cube", "mask"]]).n_bands == 12
    with pytest.raises(SceneError, match="has the axes dim_0, dim_1, dim_2"):
        read_scene(xr.DataArray(CUBE))
    by_coordinate = xr.DataArray(CUBE, dims=("a", "b", "c"), coords={"wavelength": ("c", NM)})
    assert read_scene(by_coordinate).n_bands == 12
    with pytest.raises(DataFileError, match="ndarray: a file's name or an xarray object"):
        read_scene(CUBE)
