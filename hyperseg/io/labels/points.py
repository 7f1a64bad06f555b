"""Points in a table of text (.csv, .tsv, .txt): x and y, or longitude and latitude, and a class."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import clean_name, listed
from hyperseg.io.small_tables import NUMBER, decoded

log = logging.getLogger(__name__)

TABLES = (".csv", ".tsv", ".txt")
DELIMITERS = (";", "\t", ",", "|")
EASTS = ("x", "easting", "east", "eastings", "e", "xcoord", "xcoordinate", "coordx", "pointx", "utmx", "utme",
         "rechtswert", "ostwert", "ost", "hochx", "xutm", "xmap", "mapx")  # fmt: skip
NORTHS = ("y", "northing", "north", "northings", "n", "ycoord", "ycoordinate", "coordy", "pointy", "utmy", "utmn",
          "hochwert", "nordwert", "nord", "hochy", "yutm", "ymap", "mapy")  # fmt: skip
LONGITUDES = ("lon", "long", "longitude", "lng", "laenge", "lange", "longitud", "decimallongitude")
LATITUDES = ("lat", "latitude", "breite", "latitud", "decimallatitude")
SHAPES = ("wkt", "geometry", "geom", "wktgeom", "thegeom")
EXPECTED = "x and y (in the scene's CRS), lon and lat (degrees), or wkt, and a column of classes"
UNREADABLE = 0.5  # share of lines without coordinates from which these are no columns of coordinates


@dataclass(frozen=True)
class Points:
    """A table of points: geometries in a CRS (None: not said), the numbers of their lines, and all other columns."""

    crs: str | None
    shapes: NDArray[Any]  # (n,) shapely geometries, None where a line has no coordinates
    ids: NDArray[np.int64]  # (n,) lines of the file
    columns: dict[str, NDArray[Any]]


def read_points(path: Path, data: bytes) -> Points:
    """The points of a table; columns are separated by semicolons, tabs, commas or |, decimals may have a comma.

    Args:
        path: for messages.
        data: what the file holds.

    Raises:
        DataFileError: no table, or no heading. LabelError: no columns of coordinates, or nothing in them.
    """
    header, rows, lines = _table(path, decoded(data))
    plain = [_plain(name) for name in header]
    import shapely

    pairs = ((LONGITUDES, LATITUDES), (EASTS, NORTHS))
    found = next((pair for pair in pairs if all(_at(plain, words) >= 0 for words in pair)), None)
    if found is not None:
        at = [_at(plain, words) for words in found]
        x, y = (_numbers([row[k] for row in rows]) for k in at)
        known = np.isfinite(x) & np.isfinite(y)
        shapes: NDArray[Any] = np.full(len(rows), None, object)
        shapes[known] = shapely.points(x[known], y[known])
        crs, said = _crs_of(path, x[known], y[known], degrees=found[0] is LONGITUDES)
    elif (k := _at(plain, SHAPES)) >= 0:
        at, crs, said = [k], None, "in the scene's CRS"
        shapes = shapely.from_wkt(np.array([row[k] or None for row in rows], object), on_invalid="ignore")
        known = ~shapely.is_missing(shapes)
    else:
        raise LabelError(
            f"{path}: has no columns of coordinates; expected {EXPECTED}. Its columns: "
            f"{listed([clean_name(name, 40) for name in header], most=12)}."
        )
    names = listed([header[k] for k in at])
    if known.mean() < UNREADABLE:
        bad = int(np.flatnonzero(~known)[0])
        text = clean_name(", ".join(rows[bad][k] for k in at), 60)
        raise LabelError(
            f"{path}: {int((~known).sum())} of {len(rows)} lines have no coordinates in {names}, such as line "
            f"{lines[bad]} ({text}); expected {EXPECTED}."
        )
    log.info("%s: points from the columns %s, %s", path, names, said)
    columns = {name: _typed([row[k] for row in rows]) for k, name in enumerate(header) if k not in at}
    return Points(crs, shapes, np.array(lines, np.int64), columns)


def _table(path: Path, text: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Heading, rows of as many cells, and their lines in the file."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if "\0" in text[:4096] or not first:
        raise DataFileError(f"{path}: is no table of text; expected a heading and a line per point: {EXPECTED}.")
    delimiter = max(DELIMITERS, key=lambda d: (first.count(d), -DELIMITERS.index(d)))
    reader = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    header: list[str] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                continue
            rows.append((cells + [""] * len(header))[: len(header)])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataFileError(f"{path}: is no table of text ({error} in line {reader.line_num}).") from error
    if sum(bool(re.fullmatch(NUMBER, cell)) for cell in header) >= 2:
        raise DataFileError(f"{path}: its first line holds numbers, a heading was expected: {EXPECTED}.")
    if not rows:
        raise LabelError(f"{path}: has a heading and no line below it; expected a line per point: {EXPECTED}.")
    header = [name or f"column {k + 1}" for k, name in enumerate(header)]
    return [name if header.index(name) == k else f"{name} ({k + 1})" for k, name in enumerate(header)], rows, lines


def _at(plain: Sequence[str], words: Sequence[str]) -> int:
    return next((plain.index(word) for word in words if word in plain), -1)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, re.sub(r"[\[(].*", "", name).casefold())) or name.casefold()


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Numbers with a point or a comma for decimals; NaN for anything else."""
    return np.array([float(c.replace(",", ".")) if re.fullmatch(NUMBER, c) else np.nan for c in cells])


def _typed(cells: Sequence[str]) -> NDArray[Any]:
    """A column of numbers with decimals as numbers; any other as it is written."""
    values = _numbers(cells)
    empty = np.array([not c for c in cells])
    fractions = np.isfinite(values) & (np.mod(values, 1) != 0)
    if fractions.any() and (np.isfinite(values) | empty).all():
        return values
    return np.array([c or None for c in cells], object)


def _crs_of(path: Path, x: NDArray[np.float64], y: NDArray[np.float64], *, degrees: bool) -> tuple[str | None, str]:
    """The CRS of coordinates, and what to say of it."""
    inside = bool((np.abs(x) <= 360).all() and (np.abs(y) <= 90).all())
    if degrees and inside:
        return "EPSG:4326", "longitude and latitude (EPSG:4326)"
    if degrees:
        log.warning("%s: the columns are called longitude and latitude, but hold other coordinates", path)
    return None, "in the scene's CRS"
