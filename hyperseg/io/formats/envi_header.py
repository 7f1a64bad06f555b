"""The text header of an ENVI file: its fields, and how they say the numbers lie."""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import SCALE_UNUSED, reading
from hyperseg.io.wavelengths import Centres, centres_in

log = logging.getLogger(__name__)

LARGEST_BYTES = 4 * 2**20  # a header of 10 000 bands with names has less than 1 MiB
FREE_TEXTS = ("description", "coordinate system string")
ODD_NUMBER = re.compile(r"[+-]?\d+\.?\d*#(ind|inf|qnan|snan)\w*")

GDAL_DOMAIN = "ENVI"  # where GDAL keeps fields of this header, also in copies of the file
# the real types of ENVI; 6 and 9 are complex
DATA_TYPES = {
    1: "uint8", 2: "int16", 3: "int32", 4: "float32", 5: "float64",
    12: "uint16", 13: "uint32", 14: "int64", 15: "uint64",
}  # fmt: skip


# axes (0 rows, 1 columns, 2 bands) as the data file has them, slowest first
ORDERS = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


@dataclass(frozen=True)
class Layout:
    """How the numbers of an ENVI data file lie: size, type with byte order, interleave, bytes before the first."""

    rows: int
    columns: int
    bands: int
    dtype: np.dtype[Any]
    interleave: str
    offset: int
    library: bool

    def __str__(self) -> str:
        size = f"{self.rows} lines x {self.columns} samples x {self.bands} bands"
        return f"{size} of {self.dtype.name}" + (f" after {self.offset} bytes" if self.offset else "")

    @property
    def line_bytes(self) -> int:
        return self.columns * self.bands * self.dtype.itemsize


@dataclass(frozen=True)
class Header:
    """A header's fields by lower-case name: text, or lists of text where braces stood.

    Every method raises `DataFileError` where a field is not what it has to be, with the field and the remedy.
    """

    path: Path
    fields: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Header:
        """The header of a file whose first word is ENVI."""
        if not starts_as_envi(path):
            raise DataFileError(
                f"{path}: is no ENVI header, its first word is not ENVI. Name the data file instead of this one, "
                "or get the header that belongs to it."
            )
        with reading(path, "an ENVI header"), path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
            if len(raw) > LARGEST_BYTES:
                raise DataFileError(
                    f"{path}: has more than {LARGEST_BYTES // 2**20} MiB, which no header has: it is another file, "
                    "or its lists went wrong. Write the header again."
                )
            return cls(path, _fields(path, _decoded(raw)))

    def size(self) -> tuple[int, int, int]:
        """Rows, columns and bands."""
        rows, columns, bands = (self._count(name, least=1) for name in ("lines", "samples", "bands"))
        return rows, columns, bands

    def layout(self) -> Layout:
        """Where and how the numbers lie; says which field is missing, wrong or beyond what is read here."""
        if str(self.fields.get("file compression", "0")).strip() not in ("", "0"):
            raise DataFileError(f"{self.path}: is of a compressed ENVI file; write it again without compression.")
        for name in ("major frame offsets", "minor frame offsets"):
            given = self.fields.get(name, [])
            if any(str(v).strip() not in ("", "0") for v in (given if isinstance(given, list) else [given])):
                raise DataFileError(
                    f"{self.path}: {name} = {given} puts bytes between lines, none were expected; write the image "
                    "again without frame offsets."
                )
        rows, columns, bands = self.size()
        code = self._count("data type", least=0)
        if code not in DATA_TYPES:
            known = ", ".join(f"{k} {v}" for k, v in DATA_TYPES.items())
            found = "holds complex values" if code in (6, 9) else "is no type of ENVI"
            raise DataFileError(f"{self.path}: data type = {code} {found}; expected one of {known}.")
        dtype = np.dtype(DATA_TYPES[code])
        if "byte order" not in self.fields:
            if dtype.itemsize > 1:
                log.info("%s: states no byte order; taken to be 0 (little-endian)", self.path)
        else:
            order = self._count("byte order", least=0)
            if order not in (0, 1):
                raise DataFileError(
                    f"{self.path}: byte order = {order}, expected 0 (little-endian) or 1 (big-endian); correct it."
                )
            dtype = dtype.newbyteorder("<" if order == 0 else ">")
        interleave = str(self._field("interleave")).strip().lower()
        if interleave not in ORDERS:
            raise DataFileError(
                f"{self.path}: interleave = {interleave!r}, expected bsq, bil or bip; correct the header."
            )
        offset = self._count("header offset", least=0) if "header offset" in self.fields else 0
        library = str(self.fields.get("file type", "")).strip().lower() == "envi spectral library"
        return Layout(rows, columns, bands, dtype, interleave, offset, library)

    @property
    def of_tiff(self) -> bool:
        """Whether it only accompanies a TIFF, which says itself how its numbers lie."""
        return str(self.fields.get("file type", "")).strip().lower().startswith("tiff")

    def number(self, name: str) -> float | None:
        """One number, or None where the field is absent."""
        if name not in self.fields:
            return None
        given = self.fields[name]
        try:
            return _float(given[0] if isinstance(given, list) and len(given) == 1 else given)
        except (TypeError, ValueError, AttributeError):
            raise DataFileError(
                f"{self.path}: {name} = {self.fields[name]}, expected one number; correct or delete that line."
            ) from None

    def numbers(self, name: str, bands: int) -> NDArray[np.float64] | None:
        """One number per band, or None (and a remark) where the list is of another length."""
        values = self.fields.get(name)
        if values is None:
            return None
        listed = values if isinstance(values, list) else [values]
        if len(listed) != bands:  # without commas, or without braces
            listed = ",".join(listed).replace(",", " ").split()
        try:
            numbers = [_float(v) for v in listed]
        except (TypeError, ValueError):
            raise DataFileError(
                f"{self.path}: {name} holds {values!r:.60}, expected {bands} numbers in braces; correct that field."
            ) from None
        if len(numbers) != bands:
            log.warning("%s: %s lists %d values for %d bands; left out", self.path, name, len(numbers), bands)
            return None
        return np.asarray(numbers)

    def good_bands(self, bands: int) -> NDArray[np.bool_] | None:
        """True for good bands, or None where there is no list."""
        marks = self.numbers("bbl", bands)
        return None if marks is None else marks > 0

    def centres(self, bands: int) -> Centres | None:
        """Centres of the bands from their own list, else from the names of the bands, or None."""
        for name in ("wavelength", "wavelengths"):
            if (values := self.numbers(name, bands)) is not None:
                unit = self.fields.get(f"{name} units", self.fields.get("wavelength unit"))
                return Centres(values, None if unit is None else str(unit))
        names = self.fields.get("band names")
        return centres_in(names) if isinstance(names, list) and len(names) == bands else None

    def scale(self) -> float | None:
        """What values are to be divided by to get reflectance, or None where the header does not say."""
        factor = self.number("reflectance scale factor")
        if any(name in self.fields for name in ("data gain values", "data offset values")):
            log.info("%s: %s", self.path, SCALE_UNUSED)
        if factor is not None and not (np.isfinite(factor) and factor > 0):
            raise DataFileError(
                f"{self.path}: reflectance scale factor = {factor:g}, expected a positive number; correct that line."
            )
        return factor

    def _field(self, name: str) -> Any:
        if name not in self.fields:
            raise DataFileError(f"{self.path}: the field {name!r} is missing; add a line '{name} = ...' to the header.")
        return self.fields[name]

    def _count(self, name: str, *, least: int) -> int:
        text = str(self._field(name))
        try:
            value = int(text)
        except (TypeError, ValueError):
            value = least - 1
        if value < least:
            raise DataFileError(
                f"{self.path}: promises {name} = {text:.40}, expected a whole number from {least} on; correct it."
            )
        return value


def starts_as_envi(header: Path) -> bool:
    """Whether a file begins with the word ENVI, in whatever encoding."""
    try:
        with header.open("rb") as file:
            return _decoded(file.read(16)).lstrip().startswith("ENVI")
    except OSError:
        return False


def _decoded(raw: bytes) -> str:
    """The text of a header: UTF-8 or UTF-16 with or without their marks, else Latin-1, which any bytes are."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw[: len(raw) // 2 * 2].decode("utf-16", "replace")
    if raw[1:4:2] == b"\0\0" or raw[:4:2] == b"\0\0":
        return raw[: len(raw) // 2 * 2].decode("utf-16-le" if raw[1] == 0 else "utf-16-be", "replace")
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _fields(path: Path, text: str) -> dict[str, Any]:
    """Fields by lower-case name; what stands in braces, over lines too, becomes a list, but for free texts."""
    fields: dict[str, Any] = {}
    lines = iter(re.split(r"\r\n|\r|\n", text))
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or line.lstrip().startswith(";"):
            continue
        key, value = " ".join(name.lower().split()), value.strip()
        if not value.startswith("{"):
            fields[key] = value
            continue
        parts = [value]
        while "}" not in parts[-1]:
            more = next(lines, None)
            if more is None:
                raise DataFileError(
                    f"{path}: this ENVI header is cut off: the brace after {key!r} is never closed. Copy it again."
                )
            parts.append(more)
        whole = "\n".join(parts)[1:].rpartition("}")[0].strip()
        fields[key] = whole if key in FREE_TEXTS else _listed(whole)
    return fields


def _listed(text: str) -> list[str]:
    values = [value.strip() for value in text.split(",")]
    while values and not values[-1]:  # commas after the last one
        values.pop()
    return values


def _float(text: str) -> float:
    """A number as headers have it: also True and False, Fortran's exponents, and what C on Windows prints for NaN."""
    plain = text.strip().lower()
    if plain in ("true", "false", "yes", "no"):
        return float(plain in ("true", "yes"))
    if odd := ODD_NUMBER.fullmatch(plain):
        return np.inf if odd[1] == "inf" else np.nan
    return float(plain.replace("d", "e"))
