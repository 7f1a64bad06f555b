"""`export`: a finished map in the formats other programs work with."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid, SettingError
from hyperseg.core.codes import codes_of
from hyperseg.io.pixel_area import pixel_areas
from hyperseg.io.read import read_array
from hyperseg.io.write import read_map, write_map, write_png
from hyperseg.io.write.cog import check_tif_name, write_cog
from hyperseg.io.write.envi import check_header_name, write_envi_map
from hyperseg.io.write.groups import groups_in
from hyperseg.io.write.map import codes_are_given
from hyperseg.io.write.regions import merge_small
from hyperseg.io.write.targets import check_targets
from hyperseg.io.write.vectors import vector_driver, write_polygons
from hyperseg.recipes.run.map_file import MAP, map_of


@dataclass(frozen=True)
class ExportSettings:
    """What to write; None leaves it out.

    Attributes:
        polygons: .gpkg, .geojson or .shp.
        envi: .hdr of an ENVI classification.
        cog: .tif, Cloud-Optimised.
        png: picture with one colour per class.
        min_area_m2: regions below this size take the class around them, in everything that is written.
        min_pixels: the same in pixels, for maps whose pixels have no known size.
        overwrite: files that are there already are replaced; a GeoPackage keeps its other layers.
    """

    polygons: Path | None = None
    envi: Path | None = None
    cog: Path | None = None
    png: Path | None = None
    min_area_m2: float = 0.0
    min_pixels: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not any((self.polygons, self.envi, self.cog, self.png)):
            raise SettingError("nothing to export: give --polygons, --envi, --cog or --png, each with a file.")
        if self.min_area_m2 and self.min_pixels:
            raise SettingError("--min-area and --min-pixels say the same in two units: give one of them.")
        if not 0 <= self.min_area_m2 < float("inf") or self.min_pixels < 0:
            raise SettingError("the least size of a region is a positive number of square metres or pixels.")
        if self.polygons is not None:
            vector_driver(self.polygons)
        if self.envi is not None:
            check_header_name(self.envi)
        if self.cog is not None:
            check_tif_name(self.cog)
        if self.png is not None and self.png.suffix.lower() != ".png":
            raise DataFileError(f"{self.png}: a picture is a .png; name it {self.png.stem}.png.")

    def files(self) -> list[Path]:
        """Every file that will be written, those beside the named ones included."""
        found = []
        if self.polygons is not None:
            found += [self.polygons, self.polygons.with_suffix(".qml")]
            if self.polygons.suffix.lower() == ".shp":
                found += [self.polygons.with_suffix(s) for s in (".shx", ".dbf", ".prj", ".cpg")]
        if self.envi is not None:
            found += [self.envi, self.envi.with_suffix(".img")]
        if self.cog is not None:
            found += [self.cog, self.cog.with_name(self.cog.name + ".aux.xml"), self.cog.with_suffix(".qml")]
        return found if self.png is None else [*found, self.png]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: the files asked for, in the order polygons, ENVI, COG, picture.
        polygons: how many there are; None where none were asked for.
        changed: pixels that merging small regions gave another class.
    """

    files: tuple[Path, ...]
    polygons: int | None
    changed: int


def export(source: str | Path, settings: ExportSettings) -> Exported:
    """Write a map in other formats; the map itself is only read.

    Args:
        source: a map of this package (.tif), or the folder of a run, for its map.tif.
        settings: which formats, and the least size of a region.

    Raises:
        DataFileError: the map cannot be read, or an output cannot be written, see `check_targets`.
        SettingError: a least area in square metres, and pixels of unknown size.
    """
    path = Path(map_of(source))
    beside = confidence_beside(path)
    check_targets(settings.files(), inputs=[path, *([] if beside is None else [beside])], overwrite=settings.overwrite)
    found = read_map(path)
    plain = labels = found.labels
    if settings.min_area_m2 or settings.min_pixels:
        labels = merge_small(
            plain,
            smallest=settings.min_area_m2 or settings.min_pixels,
            row_areas=_sizes(path, found.grid, plain, settings),
        )
    named: dict[str, Any] = {"classes": found.classes, "colours": found.colours, "codes": found.codes}
    how = {**named, "grid": found.grid}
    n = None
    if settings.polygons is not None:
        inside = groups_in(path, found.classes)
        groups = None if inside is None else [inside.names[g] for g in inside.of_class]
        n = write_polygons(
            settings.polygons, labels, **how, confidence=confidence_of(path, labels.shape), groups=groups
        )
    if settings.envi is not None:
        write_envi_map(settings.envi, labels, **how)
    if settings.cog is not None:
        if labels is plain:
            write_cog(settings.cog, path, **named)
        else:
            with tempfile.TemporaryDirectory() as folder:
                numbered = codes_are_given(path) is False and found.codes == codes_of(len(found.classes), None)
                write_map(Path(folder) / MAP, labels, **(how | ({"codes": None} if numbered else {})))
                write_cog(settings.cog, Path(folder) / MAP, **named)
    if settings.png is not None:
        write_png(settings.png, labels, found.colours)
    asked = (settings.polygons, settings.envi, settings.cog, settings.png)
    return Exported(tuple(p for p in asked if p is not None), n, int(np.count_nonzero(labels != plain)))


def confidence_beside(path: Path) -> Path | None:
    """The confidence raster that `classify` or `map` wrote beside a map, if it is still there."""
    names = [f"{path.stem}-confidence.tif", *(["confidence.tif"] if path.name == MAP else [])]
    return next((found for name in names if (found := path.with_name(name)).is_file()), None)


def confidence_of(path: Path, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The confidence of every pixel of a map, or None where there is none beside it.

    Raises:
        DataFileError: it belongs to a map of another size.
    """
    beside = confidence_beside(path)
    if beside is None:
        return None
    found = np.asarray(read_array(beside, ndim=2)[...])
    if found.shape != shape:
        raise DataFileError(
            f"{beside}: has {found.shape} pixels, the map {path} beside it {shape}: it belongs to another map. "
            "Move it away, or map the scene again."
        )
    return found


def _sizes(path: Path, grid: Grid, labels: NDArray[Any], settings: ExportSettings) -> NDArray[np.float64] | None:
    if not settings.min_area_m2:
        return None
    rows = pixel_areas(grid, labels.shape)
    if rows is None:
        raise SettingError(
            f"{path}: how large its pixels are is not known, so there are no square metres: give --min-pixels N "
            "instead of --min-area."
        )
    return rows
