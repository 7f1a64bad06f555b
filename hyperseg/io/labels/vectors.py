"""Vector files: which layer, which column tells the classes, and what is in it.

GeoPackage, GeoJSON, Shapefile and whatever else pyogrio opens; neither pandas nor geopandas is needed.
"""

from __future__ import annotations

import glob
import logging
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError, SettingError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import did_you_mean, listed, some
from hyperseg.io.formats import check_file
from hyperseg.io.formats.array import reading
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.labels.archives import ZIPS, chosen, gdal_name, members, of_kind, reading_zip, split_archive
from hyperseg.io.labels.points import TABLES, read_points
from hyperseg.io.labels.qml import Style, parse_qml, read_qml

VECTORS = (
    ".shp", ".shz", ".gpkg", ".geojson", ".geojsonl", ".json", ".fgb", ".gdb", ".kml", ".kmz", ".gml", ".tab", ".mif",
)  # fmt: skip
KNOWN_VECTORS = (
    "GeoPackage .gpkg, GeoJSON .geojson, Shapefile .shp, zipped or not, .csv of points and what pyogrio opens"
)
AnyArray = NDArray[Any]


@settings
class VectorOptions:
    """How drawn geometries become labels; the command line shows these options wherever labels are read.

    Raises:
        SettingError: a buffer that is not above 0.
    """

    class_column: str | None = option(
        None, "Of drawn labels: the column that tells the classes.  [default: guessed]", shown="class-column"
    )
    group_column: str | None = option(
        None,
        "Of drawn labels: the column that tells the group of a class, such as corn of two kinds of corn.",
        shown="group-column",
    )
    layer: str | None = option(None, "Of drawn labels: the layer of a file of several.", shown="layer")
    all_touched: bool = option(
        False,
        "Of drawn labels: all pixels a polygon touches, or those whose centre lies in it.  [default: centres]",
        shown="all-touched",
        off="centres",
    )
    buffer_m: float | None = option(
        None, "Of drawn labels: the surroundings of points and lines belong to them.", above=0, shown="buffer-m"
    )

    def refuse(self, labels: object) -> None:
        """Raise if any option is given although `labels` are no vectors."""
        if named := [f.name for f in fields(self) if getattr(self, f.name) != f.default]:
            what = "no labels were given" if labels is None else f"{labels} holds none"
            raise SettingError(
                f"{', '.join(named)}: only for labels drawn as vectors ({KNOWN_VECTORS}), and {what}. "
                "Leave the option out."
            )


AS_DRAWN = VectorOptions()


@dataclass(frozen=True)
class Layer:
    """A layer as it stands in its file."""

    path: Path
    crs: str | None  # as "EPSG:n" or WKT
    shapes: AnyArray  # (n,) shapely geometries, 2-D; None where a feature has none
    ids: NDArray[np.int64]  # (n,) the file's own feature numbers, as a GIS shows them
    columns: Mapping[str, AnyArray]  # (n,) values by column name
    style: Style  # names and colours that a style beside it (or in it) gives


@dataclass(frozen=True)
class Source:
    """What a user's name of vectors means."""

    file: Path  # on the disk
    inner: str | None = None  # of an archive: the file in it, "" for the only one; None for no archive
    layer: str | None = None

    @property
    def suffix(self) -> str:
        """Of what is read, in lower case."""
        return PurePosixPath(self.inner or self.file.name).suffix.lower()


def find_source(text: str | os.PathLike[str]) -> Source:
    """Split "FILE:LAYER" of a vector file, and "/vsizip/FILE/INNER"; a path that exists as given is taken as it is."""
    whole = os.fspath(text)
    head, colon, name = whole.rpartition(":")
    layered = colon and name and Path(head).suffix.lower() in (*VECTORS, *ZIPS) and not os.path.exists(whole)
    text, layer = (head, name) if layered else (whole, None)
    archive = None if os.path.isdir(text) else split_archive(text)  # of names that are too long Path raises
    return Source(Path(text), None, layer) if archive is None else Source(*archive, layer)


def split_layer(text: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """The file on the disk and the layer that "FILE:LAYER" names; of an archive, the archive."""
    source = find_source(text)
    return source.file, source.layer


def is_vector(labels: object) -> bool:
    """Whether `labels` names vectors, by its suffix; of an archive, whether there are any in it."""
    if not isinstance(labels, str | os.PathLike):
        return False
    source = find_source(labels)
    if source.inner != "":
        return source.suffix in (*VECTORS, *TABLES)
    with suppress(DataFileError):
        return not os.path.isfile(source.file) or bool(of_kind(members(source.file), (*VECTORS, ".csv")))
    return True  # to be told what is wrong with it


def open_layer(path: str | os.PathLike[str], *, layer: str | None = None) -> Layer:
    """Read one layer of a vector file ("FILE" or "FILE:LAYER"); without a name, the only one with geometries.

    Raises:
        DataFileError: the file is missing, incomplete or unreadable, or the layer is unclear.
        LabelError: the layer holds nothing.
    """
    source = find_source(path)
    file, spelt = source.file, source.layer
    if spelt is not None and layer not in (None, spelt):
        raise SettingError(f"{path}: names the layer {spelt!r}, and so does the option layer {layer!r}: choose one.")
    if not (os.path.isdir(file) and file.suffix.lower() == ".gdb"):
        check_file(file)
    wanted = spelt or layer
    if source.inner is None:
        shown, name, beside = file, str(file), {p.name for p in file.parent.glob(f"{glob.escape(file.stem)}.*")}
    else:
        found = of_kind(members(file), VECTORS) or of_kind(members(file), (".csv",))
        named = next((n for n in found if len(found) > 1 and wanted in (n, PurePosixPath(n).stem)), None)
        wanted = None if named else wanted
        inner = chosen(file, named or source.inner, (*VECTORS, *TABLES), KNOWN_VECTORS)
        shown, name = file / inner, gdal_name(file, inner)
        beside = {PurePosixPath(n).name for n in members(file)}
    if shown.suffix.lower() in TABLES:
        return _points(shown, file, source.inner)
    _check_companions(shown, beside)
    # what foreign readers remark on the side is not shown; what matters is checked and told here
    logging.getLogger("pyogrio").addHandler(logging.NullHandler())
    with warnings.catch_warnings(action="ignore"), reading(file, "vectors"):
        import_rasterio()  # with h5py before any GDAL, pyogrio's too
        import pyogrio
        import shapely

        layers = pyogrio.list_layers(name)
        kept = _choose_layer(shown, [str(n) for n, kind in layers if kind is not None], wanted)
        meta, ids, wkb, values = pyogrio.raw.read(name, layer=kept, force_2d=True, return_fids=True)
        columns = dict(zip((str(c) for c in meta["fields"]), values, strict=True))
        shapes = shapely.from_wkb(np.asarray(wkb, object), on_invalid="ignore")
        style = _style(shown, name, kept, {str(n) for n, kind in layers if kind is None})
    if len(shapes) == 0:
        raise LabelError(f"{shown}: the layer {kept!r} is empty; draw polygons with a class, or choose another layer.")
    return Layer(shown, meta["crs"], np.atleast_1d(shapes), np.asarray(ids, np.int64), columns, style)


def _points(shown: Path, file: Path, inner: str | None) -> Layer:
    if inner is None:
        with reading(file, "a table of points"):
            data = file.read_bytes()
    else:
        with reading_zip(file) as archive:
            data = archive.read(shown.relative_to(file).as_posix())
    found = read_points(shown, data)
    return Layer(shown, found.crs, found.shapes, found.ids, found.columns, read_qml(shown.with_suffix(".qml")))


def _choose_layer(path: Path, names: list[str], wanted: str | None) -> str:
    if wanted in names or (wanted is None and len(names) == 1):
        return wanted or names[0]
    if wanted is not None:
        held = f"it holds {', '.join(names) or 'none'}.{did_you_mean(wanted, names)}"
        raise DataFileError(f"{path}: holds no layer {wanted!r}; {held}")
    if not names:
        raise DataFileError(f"{path}: holds no layer with geometries, only tables; choose another file.")
    raise DataFileError(
        f"{path}: holds {len(names)} layers and only you know which is meant: {some(names, 12)}. "
        f"Choose one with --layer {names[0]!r}, or as FILE:LAYER."
    )


def _check_companions(path: Path, beside: Iterable[str]) -> None:
    """A Shapefile is three files; without one of them readers fail in words nobody understands."""
    if path.suffix.lower() != ".shp":
        return
    present = {name[len(path.stem) :].lower() for name in beside if name.startswith(f"{path.stem}.")}
    missing = [path.stem + suffix for suffix in (".shx", ".dbf") if suffix not in present]
    if missing:
        raise DataFileError(
            f"{path}: {listed(missing)} {'is' if len(missing) == 1 else 'are'} missing beside it. "
            "A Shapefile is .shp, .shx, .dbf and .prj together: copy all of them."
        )


def _style(path: Path, name: str, layer: str, tables: set[str]) -> Style:
    """The .qml beside the file, else the default style that QGIS keeps in a GeoPackage."""
    import pyogrio

    style = read_qml(path.with_suffix(".qml"))
    if style != Style() or "layer_styles" not in tables:
        return style
    meta, _, _, values = pyogrio.raw.read(name, layer="layer_styles", read_geometry=False)
    table = dict(zip((str(c) for c in meta["fields"]), values, strict=True))
    rows = zip(table.get("f_table_name", ()), table.get("useAsDefault", ()), table.get("styleQML", ()), strict=False)
    for table_name, _, text in sorted(rows, key=lambda row: not row[1]):
        if table_name == layer and text:
            with suppress(ElementTree.ParseError, LookupError, ValueError):  # a style is a bonus
                return parse_qml(str(text))
    return Style()
