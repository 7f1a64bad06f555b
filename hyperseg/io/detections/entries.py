"""`read_entries`: lines of a CSV or JSON file of boxes, cells by the names of their columns, not yet understood."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperseg.core import DataFileError
from hyperseg.core.words import one_line, some
from hyperseg.io.small_tables import read_cells, read_text

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
    table = read_cells(path, TEACHES)
    keys = [_key(cell) for cell in table.head]
    if twice := {key for key in keys if key and keys.count(key) > 1}:  # center_mm and centre_mm
        raise DataFileError(f"{path}: has two columns {some(sorted(twice), 3)}. Rename one.")
    return Entries(keys, [(f"line {line}", dict(zip(keys, cells, strict=True))) for line, cells in table.rows])


def _of_json(path: Path) -> Entries:
    try:
        given = json.loads(read_text(path, TEACHES))
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
