"""Small tables of text beside the data: a name in the first column, with or without the ending of its file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from hyperseg.core.words import bare
from hyperseg.io.cases.names import ENDINGS
from hyperseg.io.small_tables import read_text

HEADS = ("name", "case", "file", "image", "id")


def rows_of(file: Path, expected: str, *, spaces: bool = True) -> list[tuple[int, list[str]]]:
    """Lines as (number, cells): commas, semicolons, tabs or spaces between cells; remarks, a head, endings left out.

    Args:
        file: of text.
        expected: what a line should be, for the error.
        spaces: they stand between cells, where nothing else does; else names may have some.

    Raises:
        DataFileError: it cannot be read.
    """
    lines = read_text(file, f"Lines {expected} were expected").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    mark = next((mark for mark in ",;\t" if all(mark in line for line in lines)), " " if spaces else "\t")
    found = []
    for number, row in enumerate(csv.reader(lines, delimiter=mark, skipinitialspace=True), start=1):
        cells = [cell.strip() for cell in row if cell.strip()]
        if cells and not (number == 1 and cells[0].lower() in HEADS):
            found.append((number, [without_ending(cells[0]), *cells[1:]]))
    return found


def without_ending(name: str) -> str:
    return next((name[: -len(end)] for end in ENDINGS if name.lower().endswith(end)), name)


def in_capitals(name: str, others: Iterable[str]) -> str | None:
    """The other name that differs from this one in capitals, or in zeros before a number (1 for 001), alone."""
    return next((other for other in others if other != name and bare(other) == bare(name)), None)
