"""Bands are bad by what valid pixels say, and a dark value is no missing one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written import write_tiff

from hyperseg.core import Scene
from hyperseg.io.look.bands import find_bad_bands, makes_gaps
from hyperseg.io.look.sample import take_sample
from hyperseg.io.look.valid import find_valid
from hyperseg.io.read import read_scene

rng = np.random.default_rng(1)
H, W, C = 60, 50, 16


def land(dtype: type = np.uint16, top: float = 5000) -> np.ndarray:
    return (
        (rng.uniform(0.05, 0.6, (H, W, 1)) * np.linspace(0.5, 1, C) * top + rng.normal(0, top / 200, (H, W, C)))
        .clip(top / 100)
        .astype(dtype)
    )


@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
@pytest.mark.parametrize("declared", [True, False])
def test_dark_water_drops_no_band(tmp_path: Path, share: float, declared: bool) -> None:
    cube, water = land(), rng.random((H, W)) < share
    cube[water, 9:] = 0
    cube[:4] = 0
    scene = read_scene(write_tiff(tmp_path / "scene.tif", cube, **({"nodata": 0} if declared else {})))
    assert scene.good_bands is None
    assert scene.valid is not None
    np.testing.assert_array_equal(~scene.valid, np.indices((H, W))[0] < 4)  # water is there


def test_a_band_of_hardly_anything_but_no_data_is_bad() -> None:
    cube = land()
    cube[..., 3] = 0
    cube[..., 7] = np.where(rng.random((H, W)) < 0.98, 0, cube[..., 7])
    cube[:4] = 0
    good, reasons = find_bad_bands(cube, nodata=0)
    assert np.flatnonzero(~good).tolist() == [3, 7]
    assert reasons == ["band 7: no-data at nearly all pixels that hold data in other bands", "band 3: constant"]


@pytest.mark.parametrize(
    ("nodata", "dtype", "top", "gaps"),
    [
        (-9999, np.float32, 1, True), (-9999, np.int16, 9000, True), (-999, np.float32, 30000, True),
        (-32768, np.int16, 9000, True), (65535, np.uint16, 9000, True), (0, np.uint16, 9000, False),
        (0, np.float32, 1, False), (-1, np.int16, 9000, False), (255, np.uint8, 240, False),
        (-9999, np.uint16, 9, False),
    ],
)  # fmt: skip
def test_what_lies_beyond_the_data_is_a_gap(nodata: float, dtype: type, top: float, gaps: bool) -> None:
    cube = land(np.float64, top)
    cube[30, 30], cube[40, 40] = top, top / 200
    cube = cube.astype(dtype)
    if gaps or dtype != np.uint16:
        cube[:5] = nodata
    assert makes_gaps(take_sample(cube), nodata) is gaps


def test_gaps_count_as_nan_does() -> None:
    """A value beyond the data at 2 % of the pixels of a band drops the band, at 0.1 % the pixels, as NaN would."""
    for nodata in (-9999.0, np.nan):
        cube = land(np.float32, 1)
        often, seldom = rng.random((H, W)) < 0.03, np.zeros((H, W), bool)
        seldom[20, 30] = seldom[41, 7] = True
        cube[often, 2] = cube[seldom, 5] = nodata
        cube[:3] = nodata
        good, _ = find_bad_bands(cube, nodata=nodata)
        assert np.flatnonzero(~good).tolist() == [2]
        scene = Scene(cube, good_bands=good, nodata=nodata, gaps=makes_gaps(take_sample(cube), nodata))
        valid = find_valid(scene)
        assert valid is not None
        np.testing.assert_array_equal(~valid, seldom | (np.indices((H, W))[0] < 3))


def test_holes_that_miss_a_band_or_two_are_holes() -> None:
    """Pixels that are NaN in all bands but one say nothing about these bands."""
    cube = land(np.float32, 1)
    cube[10:20, 10:30, 1:] = np.nan
    good, reasons = find_bad_bands(cube)
    assert good.all()
    assert reasons == []
    valid = find_valid(Scene(cube))
    assert valid is not None
    assert (~valid).sum() == 200


def test_a_large_cube_is_judged_by_several_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dark in its first band alone is a pixel with data."""
    from hyperseg.io.look import valid as module

    monkeypatch.setattr(module, "FULL_SCAN_BYTES", 1000)
    cube = land()
    cube[:2] = 0
    cube[20:40, :, 0] = 0
    found = find_valid(Scene(cube, nodata=0))
    assert found is not None
    np.testing.assert_array_equal(~found, np.indices((H, W))[0] < 2)
