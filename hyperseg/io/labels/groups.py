"""Which classes belong together: told by a column beside the classes of drawn labels, or by a small TOML file."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from hyperseg.core import DataFileError, LabelError, SettingError
from hyperseg.core.groups import ClassGroups
from hyperseg.core.words import one_line, some
from hyperseg.io.labels.classes import Classes, named_column, whole_numbers, words_in
from hyperseg.io.labels.vectors import Layer

GROUPS = "groups"  # the table of the file
MOST_BYTES = 1 << 20
EXPECTED = 'a table [groups] with lines like corn = ["Corn-notill", "Corn-mintill"]'


def read_groups(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """The classes of every group, from the table [groups] of a TOML file.

    Raises:
        DataFileError: no such file, no TOML, or not such a table alone.
    """
    file = Path(path)
    try:
        if not os.path.isfile(file):
            raise FileNotFoundError("is a folder or no file" if os.path.exists(file) else "no such file")
        if file.stat().st_size > MOST_BYTES:
            raise ValueError("it is far too large")
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # of TOML and of text too
        reason = one_line(str(getattr(error, "strerror", None) or error), 120)
        raise DataFileError(f"{file}: cannot be read as TOML ({reason}); expected {EXPECTED}.") from error
    table = found.pop(GROUPS, None)
    if table is None or found:
        held = f"it holds {some(found, 6)}." if found else "it is empty."
        more = held if table is None else f"beside it stands {some(found, 6)}: take that out."
        raise DataFileError(f"{file}: expected {EXPECTED}; {more}")
    if not isinstance(table, dict):
        raise DataFileError(f"{file}: [groups] is {table!r}; expected {EXPECTED}.")
    for name, members in table.items():
        if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
            raise DataFileError(
                f"{file}: the group {name!r} is {one_line(repr(members), 60)}, expected a list of names of classes: "
                f'{name} = ["Corn-notill", "Corn-mintill"].'
            )
    return table


def without(layer: Layer, column: str | None) -> Layer:
    """The layer without the column of groups, which tells no classes."""
    if column is None:
        return layer
    found = named_column(layer, column, of=" of groups")
    return replace(layer, columns={name: values for name, values in layer.columns.items() if name != found})


def groups_of(layer: Layer, column: str | None, classes: Classes) -> ClassGroups | None:
    """The groups that a column tells; features without a value there say nothing, and no column gives no groups.

    Raises:
        LabelError: no such column, features of one class in several groups, or as in `ClassGroups.by_class`.
    """
    if column is None:
        return None
    name = named_column(layer, column, of=" of groups")
    origin = f"{layer.path}: the column {name!r}"
    found: list[str | None] = [None] * len(classes.names)
    for k, text in zip(classes.of.tolist(), _texts(layer.columns[name]), strict=True):
        if k < 0 or not text:
            continue
        if found[k] not in (None, text):
            raise LabelError(
                f"{origin} puts the class {classes.names[k]!r} into two groups, {found[k]} and {text}. A class belongs "
                "to one: correct the column, or choose another with --group-column NAME."
            )
        found[k] = text
    if not any(found):
        raise LabelError(f"{origin} names no group: all values of features with a class are empty.")
    return ClassGroups.by_class(found, classes.names, origin=origin)


def groups_table(file: str | os.PathLike[str] | None, *, column: str | None = None) -> dict[str, list[str]] | None:
    """The table of groups that the user names, or None without one.

    Raises:
        SettingError: a column of groups is named too. DataFileError: as in `read_groups`.
    """
    if file is None:
        return None
    if column is not None:
        raise SettingError(f"groups come from --class-groups {file} or from --group-column {column}: give one of them.")
    return read_groups(file)


def _texts(values: Any) -> list[str]:
    """Names of groups, "" for none; numbers from 0 on are "group 3"."""
    numbers = whole_numbers(values)
    if numbers is not None:
        return [f"group {n}" if n >= 0 else "" for n in numbers.tolist()]
    return words_in(values)
