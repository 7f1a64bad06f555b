"""`read_table`: a CSV or JSON file of boxes as rows; what its columns mean: voxels, millimetres, a world.

Columns (JSON: keys of each entry; a list lo is lo_0, lo_1, ...):
case; lo_0, hi_0, lo_1, ... (voxels, half open, axes in the order of the file's array) or centre_mm_0, size_mm_0, ...
(the same axes, from the corner of the first voxel) or x_mm, y_mm, z_mm with diameter_mm or size_mm_0.. (the world of
NIfTI files: right, anterior, superior) or coordX, coordY, coordZ with diameter_mm (the world of ITK and LUNA16: left,
posterior, superior). Further: score; excluded (yes: neither an object nor a false alarm); shape_0, shape_1, ... (of the
volume, compared with it); cases (names of volumes that were looked at, with or without objects).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import did_you_mean, one_line, some
from hyperseg.io.cases.names import stem_of
from hyperseg.io.detections.entries import TEACHES, WORLD, read_entries
from hyperseg.io.small_tables import as_number

Floats = NDArray[np.float64]
Form = Literal["voxels", "mm", "world", "itk"]
CASE = ("case", "name", "image", "volume", "scan", "file", "filename", "seriesuid")
YES, NO = ("yes", "true", "1", "y"), ("no", "false", "0", "n", "")
MOST = 8  # faults that are told
ITK = ("coordx", "coordy", "coordz")


@dataclass(frozen=True, eq=False)
class Row:
    """One line.

    Attributes:
        case: the name of a volume without its format.
        where: "line 3", as a message names it.
        first, second: (n,) by the form: lower and upper bounds, or centre and sizes; both None where the line says
            that the volume holds no object.
        score: NaN where there is no such column.
        excluded: the object counts neither way.
        shape: of the volume as the line states it, or ().
        size_mm: (n,) sizes that stand beside voxels, or None.
    """

    case: str
    where: str
    first: Floats | None
    second: Floats | None
    score: float = math.nan
    excluded: bool = False
    shape: tuple[int, ...] = ()
    size_mm: Floats | None = None


@dataclass(frozen=True)
class Table:
    """Rows of a file. `looked` are names of volumes that were looked at beside those of rows; `scored`: has scores."""

    path: Path
    form: Form
    n_axes: int
    rows: tuple[Row, ...]
    looked: tuple[str, ...] = ()
    scored: bool = False

    @property
    def cases(self) -> tuple[str, ...]:
        """All volumes that the file speaks of, in its order, each once."""
        return tuple(dict.fromkeys([*(row.case for row in self.rows), *self.looked]))


def refuse(path: Path, faults: Sequence[str]) -> NoReturn:
    """Raise (LabelError) what is wrong with a file, a line each, the first ones of many."""
    if len(faults) == 1:
        raise LabelError(f"{path}: {faults[0]}")
    told = [
        f"({k}) {fault}" for k, fault in enumerate(faults[:MOST], start=1)
    ]  # one can tell them apart in one line too
    more = [f"and {len(faults) - MOST} more"] if len(faults) > MOST else []
    raise LabelError("\n  ".join([f"{path}: {len(faults)} faults:", *told, *more]))


def read_table(path: Path, faults: list[str] | None = None) -> Table:
    """Rows of a .csv, .tsv or .json file of boxes.

    Args:
        path: the file.
        faults: a list that takes what is wrong with rows, which are left out then, in place of an error.

    Raises:
        DataFileError: unreadable, of another format, or without columns of boxes.
        LabelError: cells that are no numbers, upper bounds that are not above lower ones, a box twice, a volume that is
            said to hold none and has one; all of them, a line each.
    """
    given = read_entries(path)
    keys = given.keys
    looked = [*given.looked, *(str(entry["cases"]) for _, entry in given.rows if _filled(entry, "cases"))]
    if not keys:  # of a JSON file without boxes
        return Table(path, "voxels", 0, (), tuple(map(_name, looked)), True)
    name = next((key for key in CASE if key in keys), None)
    form, names = _form(path, keys, needed=name is None and "cases" not in keys)
    rows: list[Row] = []
    wrong: list[str] = []
    for where, entry in given.rows:
        case = _name(str(entry.get(name, ""))) if name else ""
        if not case:
            if any(_filled(entry, key) for pair in names for key in pair):
                wrong.append(f"{where}: has a box, but no name of a volume.")
            continue
        try:
            rows.append(_row(case, where, entry, form, names))
        except ValueError as error:
            wrong.append(f"{where}, {case}: {error}")
    wrong += _contradictions(rows, scored="score" in keys)
    if faults is not None:
        faults += wrong
    elif wrong:
        refuse(path, wrong)
    return Table(path, form, len(names), tuple(rows), tuple(map(_name, looked)), "score" in keys)


def _form(path: Path, keys: Sequence[str], *, needed: bool) -> tuple[Form, list[tuple[str, str]]]:
    """What the columns are: the form, and for each axis the names of its two numbers."""

    def axes(first: str, second: str) -> list[tuple[str, str]]:
        return [(first.format(k), second.format(k)) for k in takewhile(lambda k: first.format(k) in keys, count())]

    if needed:
        raise DataFileError(f"{path}: has no column case (there are {some(keys, 8)}). {TEACHES}.")
    diameter = "size_mm_{}" if "size_mm_0" in keys else "diameter_mm"
    found: list[tuple[Form, list[tuple[str, str]]]] = [
        ("voxels", axes("lo_{}", "hi_{}")),
        ("mm", axes("centre_mm_{}", "size_mm_{}")),
        ("world", [(key, diameter.format(k)) for k, key in enumerate(WORLD)] if WORLD[0] in keys else []),
        ("itk", [(key, "diameter_mm") for key in ITK] if ITK[0] in keys else []),
    ]
    form, names = next(((form, names) for form, names in found if names), ("voxels", []))
    if not names and "cases" not in keys:
        close = did_you_mean(keys[-1], ("lo_0", "hi_0", "coordx")) if keys else ""
        raise DataFileError(f"{path}: no columns of boxes (there are {some(keys, 8)}).{close} {TEACHES}.")
    if names and len(names) not in (2, 3):
        raise DataFileError(f"{path}: boxes of {len(names)} axes (columns {some(keys, 8)}); 2 or 3 were expected.")
    absent = [key for pair in names for key in pair if key not in keys]
    if absent:
        raise DataFileError(f"{path}: has {names[0][0]}, but no column {some(dict.fromkeys(absent), 3)}. {TEACHES}.")
    return form, names


def _row(case: str, where: str, entry: Mapping[str, Any], form: Form, names: Sequence[tuple[str, str]]) -> Row:
    """One line as numbers; ValueError with what is wrong with it."""
    cells = [key for pair in zip(*names, strict=True) for key in pair] if names else []
    filled = [key for key in cells if _filled(entry, key)]
    excluded = str(entry.get("excluded", "")).strip().lower()
    if excluded not in (*YES, *NO):
        raise ValueError(f"excluded is {excluded!r}; yes or no was expected.")
    stated = [key for key in (f"shape_{k}" for k in range(len(names))) if _filled(entry, key)]
    shape = tuple(int(_number(entry, key)) for key in stated)
    if not filled:
        return Row(case, where, None, None, shape=shape)
    if empty := [key for key in cells if key not in filled]:
        raise ValueError(
            f"{some(dict.fromkeys(empty), 3)} is empty; a box has all of its numbers, or none (no object)."
        )
    first = np.array([_number(entry, a) for a, _ in names])
    second = np.array([_number(entry, b) for _, b in names])
    for (a, b), low, high in zip(names, first, second, strict=True):
        if form == "voxels" and high <= low:
            raise ValueError(f"{b} = {high:g} is not above {a} = {low:g}; bounds are half open, a voxel is 5 to 6.")
        if form != "voxels" and high <= 0:
            raise ValueError(f"{b} = {high:g}; a length above 0 was expected.")
    score = _number(entry, "score") if _filled(entry, "score") else math.nan
    sizes = [f"size_mm_{k}" for k in range(len(names))]
    beside = form == "voxels" and all(_filled(entry, key) for key in sizes)
    size_mm = np.array([_number(entry, key) for key in sizes]) if beside else None
    return Row(case, where, first, second, score, excluded in YES, shape, size_mm)


def _contradictions(rows: Iterable[Row], *, scored: bool) -> Iterator[str]:
    """A true box twice (found ones may be rounded to the same), and volumes with a box and without."""
    seen: dict[tuple[Any, ...], Row] = {}
    empty: dict[str, Row] = {}
    boxed: dict[str, Row] = {}
    for row in rows:
        if row.first is None or row.second is None:
            empty.setdefault(row.case, row)
            continue
        boxed.setdefault(row.case, row)
        other = seen.setdefault((row.case, *row.first, *row.second), row)
        if other is not row and not scored:
            yield f"{row.where}, {row.case}: the same box as on {other.where}; leave one out."
    for case in empty.keys() & boxed.keys():
        yield f"{empty[case].where}, {case}: is said to hold no object, and has one on {boxed[case].where}."


def _number(entry: Mapping[str, Any], key: str) -> float:
    try:
        value = as_number(entry[key])
    except (TypeError, ValueError):
        raise ValueError(f"{key} is {one_line(str(entry[key]), 30)!r}; a number was expected.") from None
    if not math.isfinite(value):
        raise ValueError(f"{key} is {value}; a finite number was expected.")
    return value


def _filled(entry: Mapping[str, Any], key: str) -> bool:
    return entry.get(key) is not None and str(entry[key]).strip() != ""


def _name(text: str) -> str:
    """The name of a volume from that of its file, which may stand in a folder."""
    return stem_of(Path(text.strip().replace("\\", "/"))) if text.strip() else ""
