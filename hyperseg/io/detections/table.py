"""`Found`, `read_boxes`, `write_boxes`: boxes in a CSV or JSON file, in voxels, mm and the world."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import counted
from hyperseg.io.detections.columns import Row, Table, read_table
from hyperseg.io.detections.entries import WORLD
from hyperseg.io.detections.placed import centres_mm, sizes_mm, world_mm
from hyperseg.io.write import write_json
from hyperseg.io.write.files import write_text

Floats = NDArray[np.float64]
FILES = ("boxes.csv", "boxes.json")  # of a folder
DIGITS = 3  # of voxels and millimetres, and of a length below 1


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes of one volume, found or true.

    Attributes:
        case: name of the volume.
        boxes: (N, 2n) in voxels of the file's array, see `write_boxes`.
        scores: (N,), or None where nothing is scored (true boxes).
        spacing: (n,) millimetres per axis, or () where nothing says.
        affine: (4, 4) from voxels to the world of a NIfTI file in mm, or None.
        excluded: (E, 2n) boxes that are neither objects nor false alarms.
    """

    case: str
    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]] | None = None
    spacing: tuple[float, ...] = ()
    affine: Floats | None = None
    excluded: NDArray[np.floating[Any]] | None = None


def write_boxes(path: Path, found: Iterable[Found]) -> None:
    """Write a .csv or .json file, whole or not at all.

    Each box has its bounds in voxels, half open (lo_0, lo_1, ..., hi_0, ...), in the order of the axes of the file's
    array; its score; its centre and sizes in millimetres along these axes; and, for a NIfTI file, its centre in the
    file's world (x_mm, y_mm, z_mm: right, anterior, superior). A volume without boxes has a row with its name alone
    (JSON: its name among "cases"), so that one can tell it was looked at.

    Raises:
        LabelError: boxes of unlike numbers of axes or without a length, a name twice, or not a score for each box.
        DataFileError: another ending, or a place that cannot be written.
    """
    every = list(found)
    axes = {each.boxes.shape[1] // 2 for each in every}
    names = [each.case for each in every]
    if len(axes) > 1 or len(set(names)) < len(names):
        raise LabelError(
            f"{path}: {counted(len(every), 'volume')} with boxes of {sorted(axes)} axes; one number of axes and a name "
            "of its own for each volume were expected."
        )
    n = axes.pop() if axes else 3
    match path.suffix.lower():
        case ".csv":
            _write_csv(path, every, n)
        case ".json":
            _write_json(path, every)
        case other:
            raise DataFileError(f"{path}: boxes are written as .csv or .json, not as {other or 'a file without one'}.")


def read_boxes(path: Path) -> tuple[Found, ...]:
    """The boxes of a file that states voxels, or of the boxes.csv or boxes.json in a folder.

    Raises:
        DataFileError, LabelError: as `read_table`; no such file; boxes in millimetres or of a world, which cannot be
            placed without their volumes (`open_boxes` can).
    """
    if path.is_dir():
        file = next((path / name for name in FILES if (path / name).is_file()), None)
        if file is None:
            raise DataFileError(
                f"{path}: holds no {' or '.join(FILES)}; the folder of `hyperseg detect predict` has one."
            )
        path = file
    if not path.is_file():
        raise DataFileError(f"{path}: does not exist; a .csv or .json file of boxes was expected.")
    table = read_table(path)
    if table.form != "voxels":
        raise DataFileError(
            f"{path}: states boxes in millimetres (no lo_0, hi_0), which have a place in their volumes alone. Name the "
            "folder of the volumes, with this file as --boxes."
        )
    return of_table(table)


def of_table(table: Table) -> tuple[Found, ...]:
    """The volumes of a table in voxels, in its order."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.first is not None:
            rows[row.case].append(row)
    made = []
    for case in table.cases:
        mine = [row for row in rows[case] if not row.excluded]
        scores = np.array([row.score for row in mine]) if table.scored else None
        out = stacked([row for row in rows[case] if row.excluded], table.n_axes)
        made.append(
            Found(case, stacked(mine, table.n_axes), scores, _spacing(rows[case]), None, out if len(out) else None)
        )
    return tuple(made)


def stacked(rows: Sequence[Row], n: int) -> Floats:
    """(N, 2n) of rows in voxels."""
    flat = [np.concatenate([row.first, row.second]) for row in rows if row.first is not None and row.second is not None]
    return np.array(flat, np.float64).reshape(len(flat), 2 * n)


def _spacing(rows: Sequence[Row]) -> tuple[float, ...]:
    """What sizes in voxels and in millimetres say together, from the largest sizes, which are rounded least."""
    sized = [row for row in rows if row.size_mm is not None and row.first is not None and row.second is not None]
    if not sized:
        return ()
    sizes = np.array([row.second - row.first for row in sized])  # type: ignore[operator]
    mm = np.array([row.size_mm for row in sized])
    at = sizes.argmax(0), np.arange(sizes.shape[1])
    return tuple(float(f"{value:.5g}") for value in mm[at] / sizes[at])


def _write_csv(path: Path, found: Sequence[Found], n: int) -> None:
    axes, scored = range(n), any(each.scores is not None for each in found)
    spaced, placed = any(each.spacing for each in found), any(each.affine is not None for each in found)
    excluded = any(each.excluded is not None for each in found)
    keys = ["case", *(f"lo_{k}" for k in axes), *(f"hi_{k}" for k in axes), *(["score"] if scored else [])]
    keys += [f"{key}_mm_{k}" for key in ("centre", "size") for k in axes] if spaced else []
    keys += [*(WORLD if placed else ()), *(["excluded"] if excluded else [])]
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for each in found:
        entries = _entries(each)
        for entry in entries:
            flat: dict[str, Any] = {"case": each.case}
            for key, value in entry.items():
                names = WORLD if key == "world_mm" else [f"{key}_{k}" for k in axes]
                flat |= dict(zip(names, value, strict=True)) if isinstance(value, list) else {key: value}
            writer.writerow(flat | ({"excluded": "yes"} if entry.get("excluded") else {}))
        if not entries:
            writer.writerow({"case": each.case})
    write_text(path, text.getvalue())


def _write_json(path: Path, found: Sequence[Found]) -> None:
    boxes = [{"case": each.case, **entry} for each in found for entry in _entries(each)]
    about = "voxels of the file's array, half open, in the order of its axes; mm from the corner of the first voxel"
    write_json(path, {"unit": about, "cases": [each.case for each in found], "boxes": boxes})


def _entries(found: Found) -> list[dict[str, Any]]:
    """One entry for each box: lists of numbers by name."""
    made: list[dict[str, Any]] = []
    for boxes, scores, excluded in ((found.boxes, found.scores, False), (found.excluded, None, True)):
        if boxes is None:
            continue
        if not np.isfinite(boxes).all() or (scores is not None and len(scores) != len(boxes)):
            raise LabelError(f"{found.case}: {len(boxes)} boxes, finite and with a score each, were expected.")
        of = np.asarray(boxes, np.float64)
        n = of.shape[1] // 2
        if not (of[:, :n] < of[:, n:]).all():
            raise LabelError(f"{found.case}: boxes whose upper bounds are above their lower ones were expected.")
        columns: dict[str, Floats] = {"lo": of[:, :n], "hi": of[:, n:]}
        if found.spacing:
            columns |= {"centre_mm": centres_mm(of, found.spacing), "size_mm": sizes_mm(of, found.spacing)}
        if found.affine is not None and n == len(WORLD):
            columns["world_mm"] = world_mm(of, found.affine)
        for k in range(len(of)):
            lengths = [*(of[k, n:] - of[k, :n]), *columns.get("size_mm", of[:, :0])[k]]
            digits = DIGITS + max(0, math.ceil(-math.log10(min(lengths))))  # a thin box keeps its length
            entry: dict[str, Any] = {
                key: [_short(value, digits) for value in values[k]] for key, values in columns.items()
            }
            if scores is not None and math.isfinite(scores[k]):
                entry["score"] = float(f"{scores[k]:.6g}")
            made.append(entry | ({"excluded": True} if excluded else {}))
    return made


def _short(value: float, digits: int) -> float | int:
    """A number with few digits behind its point; whole ones without a point."""
    short = round(float(value), digits)
    return int(short) if short.is_integer() else short
