"""Small tables of text as people and spreadsheets write them: encodings, what parts cells, decimals with a comma."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.words import counted, some

MARKS = ",;\t"
NUMBER = r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Cells:
    """Names of columns as they are written, without spaces around them, and (number of the line, its cells)."""

    head: list[str]
    rows: list[tuple[int, list[str]]]


def read_cells(path: Path, expected: str) -> Cells:
    """A table with a head, whose cells commas, semicolons or tabs part.

    Args:
        path: the file.
        expected: a sentence without its point that says what should be there, for errors.

    Raises:
        DataFileError: unreadable or empty, lines of unlike lengths.
    """
    lines = read_text(path, expected).splitlines()
    first = lines[0] if lines else ""
    if not first.strip():
        raise DataFileError(f"{path}: is empty. {expected}.")
    reader = csv.reader(lines, delimiter=max(MARKS, key=first.count))
    head: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if not head:
                head = [cell.strip() for cell in cells]
            elif not any(cell.strip() for cell in cells):
                continue
            elif len(cells) != len(head):
                raise DataFileError(
                    f"{path}: line {reader.line_num} has {counted(len(cells), 'cell')}, the first line {len(head)}."
                )
            else:
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise DataFileError(f"{path}: is no table of text ({error} in line {reader.line_num}).") from error
    names = [name.casefold() for name in head if name]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataFileError(f"{path}: has two columns {some(sorted(twice), 3)}. Rename one.")
    return Cells(head, rows)


def read_text(path: Path, expected: str) -> str:
    """The text of a small file, see `decoded`.

    Raises:
        DataFileError: it cannot be read, or is no text.
    """
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}). {expected}.") from error
    if "\0" in text[:4096]:
        raise DataFileError(f"{path}: cannot be read (it is no text). {expected}.")
    return text


def decoded(data: bytes) -> str:
    """Text in UTF-8, UTF-16 with a mark, or Latin-1, whichever it is."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def as_number(cell: object) -> float:
    """A number with a point or a comma for decimals; a cell of another kind as it is.

    Raises:
        ValueError, TypeError: it is none.
    """
    if isinstance(cell, str) and re.fullmatch(NUMBER, cell.strip()):
        return float(cell.strip().replace(",", "."))
    return float(cell)  # type: ignore[arg-type]
