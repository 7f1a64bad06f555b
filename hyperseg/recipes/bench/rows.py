"""Finished cells: a line of JSON each, written at once, so that an interrupted benchmark keeps them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError, SettingError
from hyperseg.core.words import one_line
from hyperseg.io.write.files import unwritable

CELLS = "cells.jsonl"
Cell = TypeVar("Cell")


@dataclass(frozen=True)
class Row:
    """What came of a cell; numbers that were not measured are None.

    Attributes:
        key: of the cell, see `plan.Cell`.
        kind, method, label, family: what it is.
        asked, nfe: network calls of a sample: asked for, and counted.
        fd, fd_sd: Frechet distance to the training data in the features, and its spread when samples are drawn again
            from those that were made.
        inception: inception score in the same features.
        precision, recall: share of made samples among the real ones, and of real ones among the made.
        nll: bits per dimension of test data under the method's own steps and variances.
        seconds: of sampling alone.
        n: samples.
        weights: "EMA" or "raw".
        spacing: of the steps.
        clip: bound of the predicted clean data, or None.
        note: why there are no numbers, or what to know of them.
        order: of the sampler; None where noise is added or nothing is solved.
        strip: (shape, values 0..255 as base64) of the first samples; see `pictures`.
    """

    key: str
    kind: str
    method: str
    label: str
    family: str
    asked: int
    nfe: int
    fd: float | None = None
    fd_sd: float | None = None
    inception: float | None = None
    precision: float | None = None
    recall: float | None = None
    nll: float | None = None
    seconds: float | None = None
    n: int = 0
    weights: str = "EMA"
    spacing: str = ""
    clip: float | None = None
    note: str = ""
    order: int | None = None
    strip: tuple[tuple[int, ...], str] | None = field(default=None, repr=False)

    @property
    def pictures(self) -> NDArray[np.uint8] | None:
        """(k, h, w) grey or (k, h, w, 3) of the first samples."""
        if self.strip is None:
            return None
        shape, text = self.strip
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def packed(pictures: NDArray[np.uint8]) -> tuple[tuple[int, ...], str]:
    """Pictures as text, for `Row.strip`."""
    return pictures.shape, base64.b64encode(np.ascontiguousarray(pictures).tobytes()).decode("ascii")


def append_row(folder: Path, row: Row) -> None:
    """Write a finished cell and see it on the disk.

    Raises:
        DataFileError: the file cannot be written.
    """
    append_line(folder, asdict(row))


def append_line(folder: Path, cell: dict[str, Any]) -> None:
    """Write a finished cell of any benchmark, as JSON on one line, and see it on the disk.

    Raises:
        DataFileError: the file cannot be written.
    """
    file = folder / CELLS
    try:
        with file.open("a", encoding="utf-8", newline="\n") as opened:
            opened.write(json.dumps(cell, ensure_ascii=False) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise unwritable(file, error) from error


def read_rows(folder: Path) -> dict[str, Row]:
    """All finished cells by key. A line that a killed process left half written is cut off the file.

    Raises:
        RunError: another line is damaged.
    """
    return {row.key: row for row in read_lines(folder, _row)}


def read_lines(folder: Path, parse: Callable[[dict[str, Any]], Cell]) -> list[Cell]:
    """The finished cells of any benchmark; see `read_rows`.

    Args:
        folder: of the benchmark.
        parse: JSON -> a cell; raises ValueError, TypeError, KeyError or SettingError for what is none.

    Raises:
        RunError: a line that is whole, but damaged.
    """
    file = folder / CELLS
    if not file.exists():
        return []
    content = file.read_bytes()
    whole, _, rest = content.rpartition(b"\n")
    if rest:
        with file.open("r+b") as opened:
            opened.truncate(len(content) - len(rest))
    found = []
    for number, line in enumerate(filter(None, whole.split(b"\n")), 1):
        try:
            found.append(parse(json.loads(line)))
        except (ValueError, TypeError, KeyError, SettingError) as error:
            raise RunError(
                f"{file}: line {number} is damaged ({one_line(str(error), 80)}). Remove the line; --resume "
                "makes the cell again."
            ) from error
    return found


def _row(data: dict[str, Any]) -> Row:
    strip = data.get("strip")
    return Row(**data | {"strip": None if strip is None else (tuple(strip[0]), strip[1])})
