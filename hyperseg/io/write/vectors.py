"""Class maps as polygons: GeoPackage, GeoJSON or Shapefile, with class, area and confidence of each."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.core.codes import code_table, codes_of
from hyperseg.core.files import sweep, temporary_beside
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.labels.place import AMONG_NOTHING
from hyperseg.io.pixel_area import pixel_areas
from hyperseg.io.write.files import AnyPath, check_labels, replacing, unwritable, writing
from hyperseg.io.write.regions import find_regions, region_sums
from hyperseg.io.write.style import Colours, polygons_qml

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "ESRI Shapefile"}
SQUARE_METRES_PER_HA = 10_000.0


def write_polygons(
    path: AnyPath,
    labels: NDArray[Any],
    *,
    classes: Sequence[str],
    colours: Colours,
    grid: Grid | None = None,
    confidence: NDArray[Any] | None = None,
    codes: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
) -> int:
    """Write the regions of a map as polygons along pixel borders, and a QGIS style beside them.

    Columns: `class`, `group` where classes have any, `code` (as in the map's file), `pixels`, `area_m2` and
    `area_ha` where the grid tells (in degrees: on the ellipsoid), and `confidence`, the mean over the polygon's
    pixels, where there is one. GeoJSON is in longitude and latitude (WGS 84), as RFC 7946 has it; the others keep
    the map's CRS. Everything is held in memory: about 25 bytes a pixel, and 1 kB a polygon.

    Args:
        path: .gpkg, .geojson, .json or .shp; `<stem>.qml` is written beside.
        labels: (H, W) classes 0..K-1, -1 = none, which gives no polygon.
        classes, colours: K names and sRGB triples.
        grid: coordinates, or None.
        confidence: (H, W), NaN where there is none; or None.
        codes: K codes of the classes, or None for 1..K.
        groups: K names of their groups, or None.

    Returns:
        The number of polygons.

    Raises:
        DataFileError: another suffix, or a file that cannot be written. LabelError: no labels of these classes.
    """
    target, place = Path(path), Grid() if grid is None else grid
    vector_driver(target)
    check_labels(labels, len(classes), target)
    numbers, of_region = find_regions(labels)
    columns = _columns(numbers, of_region, classes, place, confidence, codes, groups)
    return write_outlines(target, numbers, columns, grid=place, qml=polygons_qml(classes, colours, column="class"))


def write_outlines(
    path: AnyPath, numbers: NDArray[np.int32], columns: dict[str, NDArray[Any]], *, grid: Grid, qml: str
) -> int:
    """Write the outlines of numbered pixels (H, W), 0 = none, with a row of every column for each number, 0 included.

    A number whose pixels fall apart gives several polygons. `qml` is the style to be written beside. Returns and
    errors as `write_polygons`.
    """
    import pyogrio

    target, place = Path(path), grid
    driver = vector_driver(target)
    shapes, order = _outlines(numbers, place)
    if driver == "GeoJSON" and place.affine is not None and not _on_earth(place):
        raise DataFileError(
            f"{target}: GeoJSON is in longitude and latitude, and this map has coordinates of a plane whose place is "
            f"not known. Write {target.stem}.gpkg instead."
        )
    options = {"encoding": "UTF-8"} if driver == "ESRI Shapefile" else {}
    if driver == "GeoJSON" and place.crs is not None:
        options["RFC7946"] = "YES"
    with replacing(target.with_suffix(".qml")) as style, _together(target) as inside:
        style.write_text(qml, encoding="utf-8")
        if driver == "GPKG" and target.is_file():  # its other layers stay
            _refuse_opened(target)
            shutil.copyfile(target, inside)
        try:
            with warnings.catch_warnings(action="ignore"):  # that there is no CRS, which the map says already
                pyogrio.raw.write(
                    inside, shapes, [values[order] for values in columns.values()], list(columns),
                    driver=driver, layer=target.stem, geometry_type="Polygon", crs=place.crs, **options,
                )  # fmt: skip
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, RuntimeError) as error:
            raise unwritable(target, error) from error
        written = pyogrio.read_info(inside, layer=target.stem)["features"]
        if written != len(shapes):
            raise unwritable(target, OSError(f"{written} of {len(shapes)} polygons were written"))
    return len(shapes)


def _on_earth(grid: Grid) -> bool:
    if grid.crs is None:
        return False
    crs = import_rasterio().crs.CRS.from_user_input(grid.crs)
    return bool(crs.is_geographic or crs.is_projected)


def _refuse_opened(target: Path) -> None:
    """Refuse a GeoPackage that another program has open, or left so: part of it lies in a file beside it."""
    for end in ("-wal", "-journal"):
        beside = target.with_name(target.name + end)
        if beside.is_file() and beside.stat().st_size:
            raise DataFileError(
                f"{target}: another program has it open, or left it so ({beside.name} lies beside it). Close it there, "
                "or choose another name."
            )


def vector_driver(path: Path) -> str:
    """The GDAL driver that a suffix stands for.

    Raises:
        DataFileError: none of ours.
    """
    driver = DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise DataFileError(
            f"{path}: polygons are written as {', '.join(DRIVERS)}, not {path.suffix or 'without a suffix'}; "
            f"name it {path.stem}.gpkg."
        )
    return driver


def _columns(
    numbers: NDArray[np.int32],
    of_region: NDArray[np.int16],
    classes: Sequence[str],
    grid: Grid,
    confidence: NDArray[Any] | None,
    codes: Sequence[int] | None,
    groups: Sequence[str] | None,
) -> dict[str, NDArray[Any]]:
    """The table, one entry per region number 0..n."""
    n = len(of_region)
    names = np.array([*classes, ""], object)  # the last is for the number 0, class -1
    found: dict[str, NDArray[Any]] = {
        "class": names[of_region],
        **({} if groups is None else {"group": np.array([*groups, ""], object)[of_region]}),
        "code": code_table(codes_of(len(classes), codes))[of_region].astype(np.int32),
        "pixels": region_sums(numbers, None, n).astype(np.int64),
    }
    rows = pixel_areas(grid, numbers.shape)
    if rows is not None:
        found["area_m2"] = region_sums(numbers, rows, n)
        found["area_ha"] = found["area_m2"] / SQUARE_METRES_PER_HA
    if confidence is not None:
        known = np.isfinite(confidence)
        sums = region_sums(numbers, np.where(known, confidence, 0), n)
        counts = region_sums(numbers, known, n)
        found["confidence"] = np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)
    return found


def _outlines(numbers: NDArray[np.int32], grid: Grid) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Well-known binary of every region's outline, and the numbers of the regions in this order."""
    import shapely

    rasterio = import_rasterio()
    from rasterio.features import shapes

    affine = rasterio.Affine(*(grid.affine or AMONG_NOTHING))
    found, order = [], []
    for outline, number in shapes(numbers, mask=numbers > 0, connectivity=4, transform=affine):
        shell, *holes = outline["coordinates"]
        found.append(shapely.Polygon(shell, holes))
        order.append(int(number))
    return np.asarray(shapely.to_wkb(np.array(found, object)), object), np.array(order, np.int64)


@contextmanager
def _together(target: Path) -> Iterator[Path]:
    """Yield a name in a new folder beside `target`; all files made there move beside it on success, it last.

    A shapefile is several files, and a layer is named after its file: one temporary name would not do.
    """
    sweep(target)
    folder = temporary_beside(target).with_suffix("")
    with writing(target):
        folder.mkdir()
        try:
            yield folder / target.name
            for file in sorted(folder.iterdir(), key=lambda p: p.name == target.name):
                os.replace(file, target.with_name(file.name))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
