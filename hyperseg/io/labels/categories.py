"""Names and colours of the codes of a raster: category names and attribute tables, wherever GDAL or ArcGIS keep them.

Looked at are what GDAL itself knows of the band (of ERDAS .img, VRT and the like), the .aux.xml beside the file and the
.vat.dbf of ArcGIS. Of several names of a code the first in this order counts, a category before the table.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

log = logging.getLogger(__name__)
Triple = tuple[int, int, int]
Names = dict[int, str]
Palette = dict[int, Triple]

# GDALRATFieldUsage: what a column of an attribute table is for
NAME, LOWEST, VALUE, RED, GREEN, BLUE = 2, 3, 5, 6, 7, 8
TEXT = 2  # GDALRATFieldType
USUAL = {  # names of columns whose use is not stated
    VALUE: ("value", "code", "pixelvalue", "classcode", "classid", "gridcode"),
    RED: ("red", "r"),
    GREEN: ("green", "g"),
    BLUE: ("blue", "b"),
    NAME: ("classname", "classnames", "class", "name", "label", "category", "landcover", "description", "type"),
}
ROWS = 2**16


@dataclass(frozen=True)
class Column:
    """A column of an attribute table."""

    name: str
    text: bool
    usage: int
    cells: Sequence[Any]


def categories_of(path: Path, source: Any) -> tuple[Names, Palette]:
    """Names and colours by code of the first band of a raster, an open rasterio dataset of the file `path`."""
    names: Names = {}
    palette: Palette = {}
    for found, painted in _everywhere(path, source):
        names, palette = found | names, painted | palette
    return names, palette


def _everywhere(path: Path, source: Any) -> Iterator[tuple[Names, Palette]]:
    if source.count == 1 and np.dtype(source.dtypes[0]).kind in "iu":
        yield from _of_xml(_told_by_gdal(source), "./VRTRasterBand[@band='1']")
    beside = path.with_name(path.name + ".aux.xml")
    if beside.is_file():
        try:
            root = ElementTree.parse(beside).getroot()
        except (ElementTree.ParseError, OSError, LookupError, ValueError) as error:
            log.warning("%s: is not XML (%s); class names are left out", beside, error)
        else:
            yield from _of_xml(root, "./PAMRasterBand[@band='1']")
    for table in (path.with_name(path.name + ".vat.dbf"), path.with_suffix(".vat.dbf")):
        if table.is_file():
            yield _of_dbf(table)


def _told_by_gdal(source: Any) -> ElementTree.Element | None:
    """What GDAL writes of a raster into a virtual one: rasterio has no call for categories and tables."""
    from rasterio.shutil import copy

    with suppress(Exception), tempfile.TemporaryDirectory() as folder:  # names are a bonus, whatever is wrong with them
        virtual = Path(folder) / "band.vrt"
        copy(source, virtual, driver="VRT")
        return ElementTree.parse(virtual).getroot()
    return None


def _of_xml(root: ElementTree.Element | None, band: str) -> Iterator[tuple[Names, Palette]]:
    """The categories and then the attribute table of a band."""
    node = None if root is None else root.find(band)
    if node is None:
        return
    listed = (category.text or "" for category in node.findall("./CategoryNames/Category"))
    yield {code: name.strip() for code, name in enumerate(listed) if name.strip()}, {}
    table = node.find("./GDALRasterAttributeTable")
    if table is not None:
        with suppress(ValueError):
            yield _of_table(*_columns(table))


def _columns(table: ElementTree.Element) -> tuple[list[Column], list[float]]:
    """The columns of a table, and the codes of its rows where no column tells them."""
    rows = [[cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")[:ROWS]]
    columns = [
        Column(
            field.findtext("Name", ""),
            int(field.findtext("Type", "0")) == TEXT,
            int(field.findtext("Usage", "0")),
            [row[k] if k < len(row) else "" for row in rows],
        )
        for k, field in enumerate(table.findall("FieldDefn"))
    ]
    first, step = float(table.get("Row0Min", "0")), float(table.get("BinSize", "1"))
    return columns, [first + step * k for k in range(len(rows))]


def _of_dbf(path: Path) -> tuple[Names, Palette]:
    try:
        import pyogrio

        meta, _, _, values = pyogrio.raw.read(path, read_geometry=False, max_features=ROWS)
        columns = [
            Column(str(name), v.dtype.kind in "OUS", 0, ["" if cell is None else cell for cell in v.tolist()])
            for name, v in zip(meta["fields"], values, strict=True)
        ]
        return _of_table(columns, list(range(len(columns[0].cells) if columns else 0)))
    except Exception as error:  # a table beside is a bonus
        log.warning("%s: is no attribute table that can be read (%s); class names are left out", path, error)
        return {}, {}


def _of_table(columns: Sequence[Column], usual: Sequence[float]) -> tuple[Names, Palette]:
    """Names and colours by code of an attribute table whose rows have the codes `usual` where it holds none."""
    used = {usage: _column(columns, usage) for usage in (NAME, LOWEST, VALUE, RED, GREEN, BLUE)}
    value = used[VALUE] or used[LOWEST]
    codes = [_whole(cell) for cell in (usual if value is None else value.cells)]
    name, rgb = used[NAME], [used[usage] for usage in (RED, GREEN, BLUE)]
    names = {} if name is None else {c: str(t).strip() for c, t in zip(codes, name.cells, strict=True) if c is not None}
    if any(column is None for column in rgb):
        return _kept(names), {}
    shades = np.array([[float(cell or 0) for cell in column.cells] for column in rgb if column is not None]).T
    if shades.size and shades.max() <= 1 and np.mod(shades, 1).any():  # shares of full light
        shades = shades * 255
    painted = np.clip(np.nan_to_num(shades), 0, 255).round().astype(int).tolist()
    return _kept(names), {c: (r, g, b) for c, (r, g, b) in zip(codes, painted, strict=True) if c is not None}


def _kept(names: Mapping[int, str]) -> Names:
    return {code: name for code, name in names.items() if name}


def _column(columns: Sequence[Column], usage: int) -> Column | None:
    """The column of a use: as stated, or by its name; names may be any text."""
    kind = [c for c in columns if c.text == (usage == NAME)] if usage in (NAME, VALUE) else list(columns)
    stated = [c for c in kind if c.usage == usage]
    plain = {"".join(filter(str.isalnum, c.name.casefold())): c for c in reversed(kind)}
    named = [plain[word] for word in USUAL.get(usage, ()) if word in plain]
    return next(iter([*stated, *named, *(kind if usage == NAME else [])]), None)


def _whole(cell: Any) -> int | None:
    """A code, or None for what is none."""
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**31 else None
