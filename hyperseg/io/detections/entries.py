"""`read_entries`: lines of a CSV or JSON file of boxes, cells by the names of their columns, not yet understood."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperseg.core import DataFileError
from hyperseg.core.words import counted, one_line, some

WORLD = ("x_mm", "y_mm", "z_mm")
TEACHES = (
    "Boxes stand in the columns case, lo_0, hi_0, lo_1, ... (voxels), or case, centre_mm_0, size_mm_0, ..., or case, "
    "x_mm, y_mm, z_mm, diameter_mm (NIfTI's world), or seriesuid, coordX, coordY, coordZ, diameter_mm (LUNA16's)"
)


@dataclass(frozen=True)
class Entries:
    """Names of columns in small letters; rows with the place that a message names; names of volumes beside them."""

    keys: list[str]
    rows: list[tuple[str, dict[str, Any]]]
    looked: list[str] = field(default_factory=list)


def read_entries(path: Path) -> Entries:
    """Lines of a .json file, or else of a table whose cells commas, semicolons or tabs part.

    Raises:
        DataFileError: unreadable or empty, lines of unlike lengths, a column twice, JSON of another build.
    """
    return _of_json(path) if path.suffix.lower() == ".json" else _of_csv(path)


def _of_csv(path: Path) -> Entries:
    text = _text(path)
    lines = text.splitlines()
    head = lines[0] if lines else ""
    if not head.strip():
        raise DataFileError(f"{path}: is empty. {TEACHES}.")
    between = max(",;\t", key=head.count)
    reader = csv.reader(lines, delimiter=between)
    keys = [_key(cell) for cell in next(reader)]
    if twice := {key for key in keys if key and keys.count(key) > 1}:
        raise DataFileError(f"{path}: has two columns {some(sorted(twice), 3)}. Rename one.")
    rows: list[tuple[str, dict[str, Any]]] = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(keys):
            raise DataFileError(
                f"{path}: line {reader.line_num} has {counted(len(cells), 'cell')}, the first line {len(keys)}."
            )
        rows.append((f"line {reader.line_num}", dict(zip(keys, cells, strict=True))))
    return Entries(keys, rows)


def _of_json(path: Path) -> Entries:
    try:
        given = json.loads(_text(path))
    except ValueError as error:
        raise DataFileError(f"{path}: is no JSON ({one_line(str(error), 80)}).") from error
    looked = given.get("cases", []) if isinstance(given, dict) else []
    found = given.get("boxes") if isinstance(given, dict) else given
    right = isinstance(found, list) and all(isinstance(entry, dict) for entry in found) and isinstance(looked, list)
    if not right:
        raise DataFileError(
            f'{path}: expected {{"boxes": [{{"case": "scan_01", "lo": [4, 7, 9], "hi": [8, 12, 13]}}]}}, and "cases": '
            "[names of all volumes that were looked at] beside it where some hold no object."
        )
    assert isinstance(found, list)
    rows = [(f"box {k}", dict(_flat(entry))) for k, entry in enumerate(found, start=1)]
    return Entries(list(dict.fromkeys(key for _, row in rows for key in row)), rows, [str(name) for name in looked])


def _flat(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Entries with lists taken apart: lo is lo_0, lo_1, ...; world_mm is x_mm, y_mm, z_mm."""
    for key, value in entry.items():
        plain = _key(key)
        if isinstance(value, list):
            names = WORLD if plain == "world_mm" else [f"{plain}_{k}" for k in range(len(value))]
            yield from zip(names, value, strict=False)
        else:
            yield plain, value


def _key(text: str) -> str:
    return text.strip().lower().replace("center_mm", "centre_mm")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise DataFileError(f"{path}: cannot be read ({why}); a .csv or .json file of boxes was expected.") from error
