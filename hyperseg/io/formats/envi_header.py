"""The text header of an ENVI file: its fields, and how they say the numbers lie."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import reading

log = logging.getLogger(__name__)

GDAL_DOMAIN = "ENVI"  # where GDAL keeps fields of this header, also in copies of the file
# the real types of ENVI; 6 and 9 are complex
DATA_TYPES = {
    1: "uint8", 2: "int16", 3: "int32", 4: "float32", 5: "float64",
    12: "uint16", 13: "uint32", 14: "int64", 15: "uint64",
}  # fmt: skip


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


def read_fields(header: Path) -> dict[str, Any]:
    """Header fields by lower-case name: text, or lists of text where braces stood."""
    if not starts_as_envi(header):
        raise DataFileError(
            f"{header}: is no ENVI header, its first word is not ENVI. Name the data file instead of this one, "
            "or get the header that belongs to it."
        )
    with reading(header, "an ENVI header"), warnings.catch_warnings():
        from spectral.io import envi

        warnings.simplefilter("ignore")  # spectral tells of lower-cased field names, which nobody can act on
        fields: dict[str, Any] = envi.read_envi_header(str(header.absolute()))
    return fields


def layout_of(header: Path, fields: dict[str, Any]) -> Layout:
    """Where and how the numbers lie; says which field is missing, wrong or beyond what is read here."""
    if str(fields.get("file compression", "0")).strip() not in ("", "0"):
        raise DataFileError(f"{header}: is of a compressed ENVI file; write it again without compression.")
    for name in ("major frame offsets", "minor frame offsets"):
        given = fields.get(name, [])
        if any(str(v).strip() not in ("", "0") for v in (given if isinstance(given, list) else [given])):
            raise DataFileError(
                f"{header}: {name} = {given} puts bytes between lines, none were expected; write the image "
                "again without frame offsets."
            )
    rows, columns, bands = (_count(header, fields, name, least=1) for name in ("lines", "samples", "bands"))
    code = _count(header, fields, "data type", least=0)
    if code not in DATA_TYPES:
        known = ", ".join(f"{k} {v}" for k, v in DATA_TYPES.items())
        found = "holds complex values" if code in (6, 9) else "is no type of ENVI"
        raise DataFileError(f"{header}: data type = {code} {found}; expected one of {known}.")
    dtype = np.dtype(DATA_TYPES[code])
    if dtype.itemsize > 1 or "byte order" in fields:
        order = _count(header, fields, "byte order", least=0)
        if order not in (0, 1):
            raise DataFileError(
                f"{header}: byte order = {order}, expected 0 (little-endian) or 1 (big-endian); correct it."
            )
        dtype = dtype.newbyteorder("<" if order == 0 else ">")
    interleave = str(_field(header, fields, "interleave")).strip().lower()
    if interleave not in ("bsq", "bil", "bip"):
        raise DataFileError(f"{header}: interleave = {interleave!r}, expected bsq, bil or bip; correct the header.")
    offset = _count(header, {"header offset": "0"} | fields, "header offset", least=0)
    library = str(fields.get("file type", "")).strip().lower() == "envi spectral library"
    return Layout(rows, columns, bands, dtype, interleave, offset, library)


def _field(header: Path, fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise DataFileError(f"{header}: the field {name!r} is missing; add a line '{name} = ...' to the header.")
    return fields[name]


def _count(header: Path, fields: dict[str, Any], name: str, *, least: int) -> int:
    text = _field(header, fields, name)
    try:
        value = int(text)
    except (TypeError, ValueError):
        value = least - 1
    if value < least:
        raise DataFileError(
            f"{header}: promises {name} = {text}, expected a whole number from {least} on; correct the header."
        )
    return value


def number_in(header: Path, fields: dict[str, Any], name: str) -> float | None:
    """One number, or None where the field is absent."""
    if name not in fields:
        return None
    try:
        return float(fields[name])
    except (TypeError, ValueError):
        raise DataFileError(
            f"{header}: {name} = {fields[name]}, expected one number; correct or delete that line."
        ) from None


def numbers_in(header: Path, fields: dict[str, Any], name: str, bands: int) -> list[float] | None:
    """One number per band, or None (and a remark) where the list is of another length."""
    values = fields.get(name)
    if values is None:
        return None
    try:
        numbers = [float(v) for v in (values if isinstance(values, list) else [values])]
    except (TypeError, ValueError):
        raise DataFileError(
            f"{header}: {name} holds {values!r:.60}, expected {bands} numbers in braces; correct that field."
        ) from None
    if len(numbers) != bands:
        log.warning("%s: %s lists %d values for %d bands; left out", header, name, len(numbers), bands)
        return None
    return numbers


def scale_in(header: Path, fields: dict[str, Any]) -> float | None:
    """What values are to be divided by to get reflectance, or None where the header does not say."""
    factor = number_in(header, fields, "reflectance scale factor")
    if factor is not None and not (np.isfinite(factor) and factor > 0):
        raise DataFileError(
            f"{header}: reflectance scale factor = {factor:g}, expected a positive number; correct that line."
        )
    return factor


def starts_as_envi(header: Path) -> bool:
    """Whether a file begins with the word ENVI."""
    try:
        with header.open("rb") as file:
            return file.read(4) == b"ENVI"
    except OSError:
        return False
