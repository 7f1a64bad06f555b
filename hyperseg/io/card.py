"""`Card`: what is known about a public data set, as read from one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.groups import ClassGroups

WavelengthKind = Literal["listed", "approximate", "range"]
Role = Literal["cube", "labels"]
T = TypeVar("T")


@dataclass(frozen=True)
class ClassEntry:
    """One class: the code in the label file, its name, published pixel count and sRGB colour."""

    code: int
    name: str
    count: int
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class FileEntry:
    """One file of the usual distribution; several label files are merged (each pixel is labelled in one)."""

    role: Role
    name: str
    key: str
    url: str | None


@dataclass(frozen=True)
class SplitEntry:
    """A published split: counts per class, and the user-supplied file that holds its masks."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    file: str
    remark: str


@dataclass(frozen=True)
class Card:
    """A public data set.

    Attributes:
        name, title, aliases: names it is found under.
        sensor, place, pixel_m, size, bands: the distributed array is (*size, bands); pixels in metres.
        dtype, low, high, exact: stored type and smallest and largest value; `exact` False: only bounds.
        recorded_bands, removed_bands: bands of the instrument, and the (first, last) runs, counted from 1,
            that the distributed array lacks already.
        drop_bands: bands of the distributed array to drop, counted from 0.
        rgb_bands: red, green, blue, counted from 0.
        wavelength_kind: "listed" (calibrated centres), "approximate" (from the range) or "range" only.
        range_nm, wavelengths_nm: first and last wavelength; centres, or empty for "range".
        counts_measured: class counts were measured on the label files; otherwise they are quoted.
        classes, files, splits: see their types.
        groups: which classes belong together, as their names say, or None.
        licence, citation, sources: terms, whom to cite, public pages.
        remarks, certainty: what a user must know; what is not certain about this card.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    sensor: str
    place: str
    pixel_m: float
    size: tuple[int, int]
    bands: int
    dtype: str
    low: float
    high: float
    exact: bool
    recorded_bands: int
    removed_bands: tuple[tuple[int, int], ...]
    drop_bands: tuple[int, ...]
    rgb_bands: tuple[int, int, int]
    wavelength_kind: WavelengthKind
    range_nm: tuple[float, float]
    wavelengths_nm: tuple[float, ...]
    counts_measured: bool
    classes: tuple[ClassEntry, ...]
    files: tuple[FileEntry, ...]
    splits: tuple[SplitEntry, ...]
    licence: str
    citation: str
    sources: tuple[str, ...]
    remarks: tuple[str, ...]
    certainty: tuple[str, ...]
    groups: ClassGroups | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.classes)

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(entry.colour for entry in self.classes)

    @property
    def counts(self) -> tuple[int, ...]:
        """Published pixels per class."""
        return tuple(entry.count for entry in self.classes)

    @property
    def labelled(self) -> int:
        """Published labelled pixels in all."""
        return sum(self.counts)

    def good_bands(self) -> NDArray[np.bool_] | None:
        """(bands,) bool, or None where nothing is to be dropped."""
        return ~np.isin(np.arange(self.bands), self.drop_bands) if self.drop_bands else None


def read_card(path: Path) -> Card:
    """Read and check one card.

    Raises:
        DataFileError: naming the file, for broken TOML, a missing or unknown field, or numbers that disagree.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataFileError(f"{path}: not a readable TOML card ({error}).") from error
    try:
        card = Card(
            **{name: convert(fields.pop(name)) for name, convert in _PLAIN.items()},
            classes=tuple(_class(entry) for entry in fields.pop("classes")),
            files=tuple(_file(entry) for entry in fields.pop("files")),
            splits=tuple(_split(entry) for entry in fields.pop("splits", ())),
        )
        if (table := fields.pop("groups", None)) is not None:
            card = replace(card, groups=ClassGroups.of(table, card.class_names, origin=f"{path}: [groups]"))
    except LabelError as error:
        raise DataFileError(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataFileError(f"{path}: card field {error} is missing or has a wrong value.") from error
    if fields:
        raise DataFileError(f"{path}: unknown card fields {', '.join(sorted(fields))}: check the spelling.")
    if fault := _fault(card):
        raise DataFileError(f"{path}: {fault}.")
    return card


def _tuple_of(convert: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    return lambda values: tuple(convert(value) for value in values)


def _kind(value: str) -> str:
    if value not in get_args(WavelengthKind):
        raise ValueError(f"wavelength_kind = {value!r}")
    return value


_PLAIN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "title", "sensor", "place", "dtype", "licence", "citation"), str),
    **dict.fromkeys(("aliases", "sources", "remarks", "certainty"), _tuple_of(str)),
    **dict.fromkeys(("size", "drop_bands", "rgb_bands"), _tuple_of(int)),
    **dict.fromkeys(("bands", "recorded_bands"), int),
    **dict.fromkeys(("pixel_m", "low", "high"), float),
    **dict.fromkeys(("range_nm", "wavelengths_nm"), _tuple_of(float)),
    "removed_bands": _tuple_of(_tuple_of(int)),
    **dict.fromkeys(("exact", "counts_measured"), bool),
    "wavelength_kind": _kind,
}


def _class(entry: Mapping[str, Any]) -> ClassEntry:
    digits = str(entry["colour"]).removeprefix("#")
    if len(digits) != 6:
        raise ValueError(f"colour = {entry['colour']!r}")
    red, green, blue = bytes.fromhex(digits)
    return ClassEntry(int(entry["code"]), str(entry["name"]), int(entry["count"]), (red, green, blue))


def _file(entry: Mapping[str, Any]) -> FileEntry:
    role = entry["role"]
    if role not in get_args(Role):
        raise ValueError(f"role = {role!r}")
    return FileEntry(role, str(entry["name"]), str(entry["key"]), entry.get("url"))


def _split(entry: Mapping[str, Any]) -> SplitEntry:
    train, test = (tuple(int(n) for n in entry[part]) for part in ("train", "test"))
    return SplitEntry(str(entry["name"]), train, test, str(entry["file"]), str(entry.get("remark", "")))


def _fault(card: Card) -> str:
    """The first thing that does not fit together, or an empty string."""
    n = len(card.classes)
    if len(card.size) != 2 or len(card.rgb_bands) != 3 or len(card.range_nm) != 2:
        return "size needs two numbers, rgb_bands three, range_nm two"
    if any(not 0 <= band < card.bands for band in (*card.rgb_bands, *card.drop_bands)):
        return f"a band of rgb_bands or drop_bands is outside 0..{card.bands - 1}"
    if (card.wavelength_kind == "range") != (not card.wavelengths_nm):
        return 'wavelengths_nm is empty exactly when wavelength_kind is "range"'
    if card.wavelengths_nm and len(card.wavelengths_nm) != card.bands:
        return f"{len(card.wavelengths_nm)} wavelengths for {card.bands} bands"
    if len({entry.code for entry in card.classes} - {0}) != n:
        return "class codes must differ and 0 is kept for unlabelled"
    if [entry.role for entry in card.files].count("cube") != 1 or len(card.files) < 2:
        return "a card lists one cube file and at least one label file"
    for split in card.splits:
        if len(split.train) != n or len(split.test) != n:
            return f"split {split.name!r} does not give {n} counts for train and test"
    return ""
