"""How much ground a pixel covers: constant on a plane map, from row to row in degrees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid
from hyperseg.io.formats.windows import import_rasterio

EQUATOR_M, ECCENTRICITY2 = (6378137.0, 0.00669437999014)  # the ellipsoid WGS 84: half axis, squared eccentricity
WEB_MERCATOR = ("EPSG:3857", "EPSG:900913")


def pixel_areas(grid: Grid, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """Area of the pixels of every row, in square metres; None where the grid does not tell.

    On a projected map every pixel has the area its transform gives; projections that keep neither area nor, nearly,
    scale (other than Web Mercator, which is allowed for) are the user's to avoid. In degrees, and in Web Mercator,
    a pixel is the piece of the ellipsoid WGS 84 around its centre: its extent in longitude times that in
    latitude, times M N cos(latitude) with the two radii of curvature M (along the meridian) and N (across). That
    other ellipsoids are meant changes areas by less than 0.1 %. Of a rotated grid the middle column counts.
    """
    if grid.crs in WEB_MERCATOR and grid.affine is not None:
        return _web_mercator(_middle(grid.affine, shape), grid.affine)
    if grid.unit == "m":
        return np.full(shape[0], grid.spacing[0] * grid.spacing[1] * _shear(grid.affine))
    if grid.crs is None or grid.affine is None:
        return None
    crs = import_rasterio().crs.CRS.from_user_input(grid.crs)
    if not crs.is_geographic:
        return None
    radians = float(crs.units_factor[1])
    latitude = radians * _middle(grid.affine, shape)
    return _determinant(grid.affine) * radians**2 * _per_square_radian(latitude)


def mean_pixel_area(labels: NDArray[Any], n_classes: int, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K) mean area of the pixels mapped as each class, from (H, W) labels 0..K-1, -1 = none, and the (H) area of a
    pixel of each row; that of all rows where a class has none.
    """
    if np.ptp(rows) == 0:
        return np.full(n_classes, rows[0])
    sums, counts = np.zeros(n_classes), np.zeros(n_classes)
    for line, area in zip(labels, rows, strict=True):
        found = np.bincount(line[line >= 0], minlength=n_classes)
        sums += area * found
        counts += found
    return np.where(counts > 0, sums / np.maximum(counts, 1), rows.mean())


def _middle(affine: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The second coordinate of the middle of every row."""
    _, _, _, d, e, f = affine
    return np.asarray(f + e * (np.arange(shape[0]) + 0.5) + d * shape[1] / 2, np.float64)


def _web_mercator(y: NDArray[np.float64], affine: tuple[float, ...]) -> NDArray[np.float64]:
    """x is longitude times the radius, y the isometric latitude of a sphere times the radius."""
    latitude = 2 * np.arctan(np.exp(y / EQUATOR_M)) - np.pi / 2
    square_radians = _determinant(affine) * np.cos(latitude) / EQUATOR_M**2
    return square_radians * _per_square_radian(latitude)


def _per_square_radian(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square metres per square radian of longitude and latitude, zero beyond the poles."""
    bent = 1 - ECCENTRICITY2 * np.sin(latitude) ** 2
    across = EQUATOR_M / np.sqrt(bent)
    along = EQUATOR_M * (1 - ECCENTRICITY2) / bent**1.5
    return np.asarray(along * across * np.clip(np.cos(latitude), 0, None), np.float64)


def _determinant(affine: tuple[float, ...]) -> float:
    a, b, _, d, e, _ = affine
    return abs(a * e - b * d)


def _shear(affine: tuple[float, ...] | None) -> float:
    """The area of a pixel by its two sides: 1 where they are at right angles."""
    if affine is None:
        return 1.0
    a, b, _, d, e, _ = affine
    sides = float(np.hypot(a, d) * np.hypot(b, e))
    return _determinant(affine) / sides if sides else 1.0
