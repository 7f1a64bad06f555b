"""`hyperseg export`: a map as polygons, ENVI classification, Cloud-Optimised GeoTIFF or picture."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg.cli.reading import overwrite_option

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("map_file", metavar="MAP", type=click.Path(path_type=Path))
@click.option(
    "--polygons",
    metavar="FILE",
    type=FILE,
    help="Polygons with class, code, area and mean confidence: .gpkg, .geojson or .shp; a .qml style beside.",
)
@click.option("--envi", metavar="FILE", type=FILE, help="ENVI classification: FILE is the .hdr.")
@click.option("--cog", metavar="FILE", type=FILE, help="Cloud-Optimised GeoTIFF with overviews: .tif.")
@click.option("--png", metavar="FILE", type=FILE, help="Picture with one colour per class.")
@click.option(
    "--min-area",
    "min_area_m2",
    metavar="M2",
    type=click.FloatRange(0),
    default=0.0,
    help="First give regions below this size the class around them, in all that is written.",
)
@click.option(
    "--min-pixels",
    metavar="N",
    type=click.IntRange(0),
    default=0,
    help="The same in pixels, for maps without coordinates.",
)
@overwrite_option
def export(
    map_file: Path,
    polygons: Path | None,
    envi: Path | None,
    cog: Path | None,
    png: Path | None,
    min_area_m2: float,
    min_pixels: int,
    overwrite: bool,
) -> None:
    """Write MAP, a map of hyperseg or a run folder, in formats that other programs work with.

    The class map is held in memory: about 8 bytes a pixel, and 25 with --polygons, --min-area or --min-pixels.
    Polygons follow pixel borders. GeoJSON is in longitude and latitude, the other formats keep the map's CRS.
    Areas of maps in degrees are those on the ellipsoid.

    \b
    Examples:
      hyperseg export runs/field --polygons field.gpkg --min-area 500
      hyperseg export runs/field --envi field.hdr --png field.png
      hyperseg export maps/flightline.tif --cog flightline-cog.tif
      hyperseg export runs/indian-pines-cnn3d --polygons pines.geojson --min-pixels 9
    """
    from hyperseg.recipes.export import ExportSettings
    from hyperseg.recipes.export import export as write

    done = write(map_file, ExportSettings(polygons, envi, cog, png, min_area_m2, min_pixels, overwrite))
    if min_area_m2 or min_pixels:
        count = f"{done.changed:,}".replace(",", " ")
        click.echo(f"{count} pixels of small regions took the class around them")
    for path in done.files:
        count = f" ({done.polygons} polygons)" if path == polygons else ""
        click.echo(f"{path}{count}")
