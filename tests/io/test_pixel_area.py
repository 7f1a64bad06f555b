"""Ground areas of pixels: they add up to the Earth, and agree between projections."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import Grid
from hyperseg.io.pixel_area import mean_pixel_area, pixel_areas

EARTH_KM2 = 510_065_621.7  # surface of the ellipsoid WGS 84


def test_the_pixels_of_a_globe_add_up_to_the_earth() -> None:
    grid = Grid(crs="EPSG:4326", affine=(0.25, 0, -180, 0, -0.25, 90))
    rows = pixel_areas(grid, (720, 1440))
    assert rows.sum() * 1440 / 1e6 == pytest.approx(EARTH_KM2, rel=2e-6)
    np.testing.assert_allclose(rows, rows[::-1])
    assert rows[0] < rows[359] / 100


def test_a_plane_map_has_one_area() -> None:
    rows = pixel_areas(Grid((30.0, 20.0), "m"), (4, 5))
    assert rows.tolist() == [600.0] * 4
    rotated = Grid((10.0, 10.0), "m", "EPSG:32633", (8.0, 6.0, 5e5, 6.0, -8.0, 5e6))
    np.testing.assert_allclose(pixel_areas(rotated, (2, 2)), 100)
    sheared = Grid((2.0, 1.0), "m", None, (1.0, 3**0.5, 0, 0, -1.0, 0))
    np.testing.assert_allclose(pixel_areas(sheared, (1, 1)), 1)


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    for grid in (Grid(), Grid((1.0, 1.0), "mm"), Grid(affine=(10, 0, 0, 0, -10, 0)), Grid(crs="EPSG:4326")):
        assert pixel_areas(grid, (3, 3)) is None


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_projections_agree_with_a_plane_one(crs: str) -> None:
    """One square of 10 km in UTM 33, near its central meridian, seen in other coordinates."""
    pytest.importorskip("rasterio")
    from rasterio.warp import transform

    east, north, n = 505_000.0, 5_395_000.0, 100
    ends = [(east - 5e3, north), (east + 5e3, north), (east, north + 5e3), (east, north - 5e3)]
    x, y = (np.array(v) for v in transform("EPSG:32633", crs, *map(list, zip(*ends, strict=True))))
    a, b, d, e = x[1] - x[0], x[3] - x[2], y[1] - y[0], y[3] - y[2]
    affine = (a / n, b / n, x.mean() - (a + b) / 2, d / n, e / n, y.mean() - (d + e) / 2)
    rows = pixel_areas(Grid(crs=crs, unit="px", affine=affine), (n, n))
    expected = 1e8 / 0.9996**2  # UTM shows its middle this much too small
    assert rows.sum() * n == pytest.approx(expected, rel=1e-4)


def test_the_mean_of_a_class_weighs_the_rows_it_lies_in() -> None:
    labels = np.array([[0, 0, 1], [0, -1, 1], [1, 1, 1]])
    found = mean_pixel_area(labels, 3, np.array([1.0, 2.0, 6.0]))
    np.testing.assert_allclose(found, (4 / 3, 21 / 5, 3))
    assert mean_pixel_area(labels, 2, np.full(3, 5.0)).tolist() == [5.0, 5.0]
