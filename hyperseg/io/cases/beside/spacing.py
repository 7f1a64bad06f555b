"""How large voxels are where the files of images do not say: an option, spacing.csv or dataset.json beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import counted, some
from hyperseg.io.cases.beside.table import rows_of
from hyperseg.io.cases.case import Case, Fault
from hyperseg.io.cases.names import PACKED, VOLUMES, ending_of
from hyperseg.io.paths import split_key

FILE = "spacing.csv"
EVERY = "*"  # the name of all cases
KEY = "spacing"  # of dataset.json, and of what an array's file says
LINES = f"name,Z,Y,X (pictures: name,Y,X) or {EVERY},Z,Y,X for all, in mm"
Spacing = tuple[float, ...]


def spaced(root: Path, cases: Sequence[Case], asked: Spacing = ()) -> tuple[list[Case], Spacing, str, list[Fault]]:
    """The cases with the millimetres that stand beside their files, where these say nothing themselves.

    A file's own word goes first (a NIfTI header, an array or attribute "spacing" of .h5 and .npz), then a line of
    spacing.csv, then what is asked for or, without it, "spacing" of dataset.json or the line * of spacing.csv.

    Args:
        root: the folder that spacing.csv and dataset.json lie in.
        cases: of it.
        asked: per axis of the arrays, for all files that say nothing.

    Returns:
        cases, the spacing for all files that say nothing, what was found in words, and faults.

    Raises:
        SettingError: `asked`, but every file says it.
        DataFileError: a table or a file that says no lengths.
    """
    of, every, where = _beside(root)
    if asked:
        every, where = asked, "--spacing"
    if not (of or every):
        return list(cases), (), "", []
    silent = {case.name for case in cases if not says_itself(case)}
    if asked and cases and not silent:
        raise SettingError(
            f"--spacing {','.join(f'{n:g}' for n in asked)}: every file in {root} states its own spacing, so it would "
            "change nothing. Leave it out, or correct the files."
        )
    found = [replace(case, spacing=of.get(case.name, every)) if case.name in silent else case for case in cases]
    faults = []
    if lacking := [case.name for case in found if case.name in silent and not case.spacing]:
        faults.append(
            Fault(str(root / FILE), f"no line for {counted(len(lacking), 'case')} ({some(lacking, 3)})",
                  f"lines {LINES}", "Add the lines: cases with and without a spacing do not mix.", "error",
                  "no spacing")
        )  # fmt: skip
    if not silent:
        faults.append(
            Fault(str(root), f"{where} states a spacing, and so does every file", "one of them",
                  "Nothing, if the files are right: they are believed.", "remark", "spacing twice")
        )  # fmt: skip
        return found, every, "", faults
    told = f"{' x '.join(f'{n:g}' for n in every)} mm" if every and not of else f"of {counted(len(of), 'case')}"
    return found, every, f"spacing, {told}, from {where}", faults


def says_itself(case: Case) -> bool:
    """Whether the image's own file states a spacing."""
    path = case.images[0]
    return ending_of(split_key(path)[0]) in VOLUMES or own_spacing(path) is not None


def own_spacing(path: Path) -> Spacing | None:
    """What an .h5 or .npz says of its array, in the order of its axes: "spacing" in mm, or "element_size_um".

    Looked for among the attributes of the array, then of the file, then as an array of that name.

    Raises:
        DataFileError: it is there, and is no lengths.
    """
    file, key = split_key(path)
    ending = ending_of(file)
    if ending not in PACKED:
        return None
    given, scale = (_of_npz(file), 1.0) if ending == ".npz" else _of_hdf5(file, key)
    if given is None:
        return None
    try:
        numbers = [float(n) * scale for n in given]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        numbers = []
    return _lengths(numbers, f"{file}: its {KEY} {given!r:.60}")


def lengths(words: Iterable[str], where: str) -> Spacing:
    """Two or three positive millimetres.

    Raises:
        DataFileError: something else; `where` begins the message.
    """
    words = list(words)
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    return _lengths(numbers, f"{where} {','.join(words)}")


def _lengths(numbers: Sequence[float], where: str) -> Spacing:
    if len(numbers) not in (2, 3) or not all(math.isfinite(n) and n > 0 for n in numbers):
        raise DataFileError(
            f"{where}: is no spacing; a length above 0 in mm for every axis of the array was expected: Z,Y,X for "
            "volumes, Y,X for pictures."
        )
    return tuple(numbers)


def _beside(root: Path) -> tuple[dict[str, Spacing], Spacing, str]:
    """By case, for all, and the file that says so."""
    from hyperseg.io.cases.decathlon import FILE as DATASET

    if (root / FILE).is_file():
        rows = rows_of(root / FILE, LINES)
        of = {cells[0]: lengths(cells[1:], f"{root / FILE}: line {number}:") for number, cells in rows}
        every = of.pop(EVERY, ())
        return of, every, FILE
    try:
        about = json.loads((root / DATASET).read_text(encoding="utf-8-sig"))
        given = about.get(KEY)
    except (OSError, ValueError, AttributeError):  # who lists the folder says what is wrong with it
        given = None
    if given is None:
        return {}, (), ""
    numbers = given if isinstance(given, list) else [given]
    return {}, lengths(map(str, numbers), f"{root / DATASET}: {KEY}"), DATASET


def _of_hdf5(file: Path, key: str | None) -> tuple[object, float]:
    import h5py

    try:
        with h5py.File(file) as opened:
            for owner in (opened[key].attrs, opened.attrs, opened) if key else (opened.attrs, opened):
                for name, scale in ((KEY, 1.0), ("element_size_um", 1e-3)):
                    if name in owner:
                        return owner[name][()] if owner is opened else owner[name], scale
    except (OSError, KeyError):  # who reads the array says what is wrong with it
        pass
    return None, 1.0


def _of_npz(file: Path) -> object:
    import zipfile

    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as opened:
            return opened[KEY] if KEY in opened.files else None
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
