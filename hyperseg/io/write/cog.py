"""Class maps as Cloud-Optimised GeoTIFF: tiled, with overviews, so that a viewer reads only what it shows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.write.files import AnyPath, check_whole, replacing, unwritable
from hyperseg.io.write.style import Colours, raster_qml

TILE_PX = 512


def write_cog(
    path: AnyPath, source: AnyPath, *, classes: Sequence[str], colours: Colours, codes: Sequence[int] | None = None
) -> None:
    """Write a map that `MapWriter` made once more, as a Cloud-Optimised GeoTIFF; GDAL copies it block by block.

    Overviews show the class that most of the pixels below have. Palette, no-data value, coordinates and class
    names (`<map>.aux.xml`, `<stem>.qml`) come along; `codes` are those of the classes in the map, None for 1..K.

    Raises:
        DataFileError: no .tif, or it cannot be written.
    """
    target, given = Path(path), Path(source)
    check_tif_name(target)
    rasterio = import_rasterio()
    from rasterio.shutil import copy

    with (
        replacing(target) as file,
        replacing(target.with_name(target.name + ".aux.xml")) as sidecar,
        replacing(target.with_suffix(".qml")) as style,
    ):
        style.write_text(raster_qml(classes, colours, codes), encoding="utf-8")
        try:
            copy(
                given, file, driver="COG", compress="deflate", blocksize=TILE_PX, overviews="ignore_existing",
                overview_resampling="mode", bigtiff="if_safer",
            )  # fmt: skip
        except rasterio.errors.RasterioError as error:
            raise unwritable(target, error) from error
        finally:  # GDAL keeps names beside what it wrote, under the temporary name
            Path(f"{file}.aux.xml").unlink(missing_ok=True)
        check_whole(file, target)
        try:
            shutil.copyfile(given.with_name(given.name + ".aux.xml"), sidecar)
        except OSError as error:
            raise unwritable(sidecar, error) from error


def check_tif_name(path: Path) -> None:
    """Refuse a name that is not a GeoTIFF's."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise DataFileError(f"{path}: a Cloud-Optimised GeoTIFF is a .tif; name it {path.stem}.tif.")
