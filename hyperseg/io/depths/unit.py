"""What the numbers of a depth map mean: metres, millimetres, disparity, or one of two codes of depth cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError

Unit = Literal["auto", "m", "mm", "disparity"]
Coding = Literal["plain", "turned", "kinect"]
UNITS: tuple[Unit, ...] = ("auto", "m", "mm", "disparity")
MILLIMETRES_FROM = 100.0  # a median of whole numbers above this is millimetres
NEAREST, FARTHEST = 0.05, 200.0  # metres: a median outside was read in the wrong unit
DOUBTFUL = 8.0  # metres: such a median of whole numbers may also be 5 000 per metre
NO_READING = 2047  # of the eleven bits of a Kinect
SATURATED = 65535  # of sixteen bits: no camera measures 65.5 m
KINECT = (351.3, 1092.5)
TURNED_FROM = 20_000  # millimetres: only turned numbers are all even by eight and so large


@dataclass(frozen=True)
class Meaning:
    """How the numbers of one file become depth.

    Attributes:
        unit: "m" or "disparity", of what comes out.
        per_metre: what stands for one metre.
        coding: "plain"; "turned": sixteen bits, turned left by three (SUN); "kinect": raw disparity of eleven bits,
            with its two bytes exchanged (NYU).
        said: where the unit comes from, for remarks.
    """

    unit: Literal["m", "disparity"]
    per_metre: float = 1.0
    coding: Coding = "plain"
    said: str = ""


def check_unit(unit: str, per_metre: float | None) -> None:
    """Refuse an unknown unit, and a scale where there is none.

    Raises:
        SettingError: either.
    """
    if unit not in UNITS:
        raise SettingError(f"unit is {unit!r}; one of {', '.join(UNITS)} was expected.")
    if per_metre is None:
        return
    if not (np.isfinite(per_metre) and per_metre > 0):
        raise SettingError(f"per_metre is {per_metre:g}; a number above 0 was expected, 1000 for millimetres.")
    if unit != "auto":
        raise SettingError(f"unit {unit!r} and per_metre {per_metre:g} both say what a number means; give one of them.")


def meaning_of(
    raw: NDArray[Any], file: Path, *, unit: Unit = "auto", per_metre: float | None = None, disparity: bool = False
) -> Meaning:
    """What the numbers of a file mean.

    "auto": what is called disparity is disparity; eleven bits with their bytes exchanged are the raw disparity of a
    Kinect; sixteen bits turned by three are millimetres of SUN; whole numbers with a median above 100 are millimetres;
    all others are metres. Whole numbers of eight bits are refused: they are shades of a picture, in no known unit.

    Args:
        raw: (h, w), as decoded.
        file: for messages.
        unit: what the user says.
        per_metre: what the user says stands for one metre.
        disparity: the file's name says so.

    Raises:
        DataFileError: "auto" cannot tell.
    """
    if per_metre is not None:
        return Meaning("m", per_metre, said=f"{per_metre:g} per metre, as given")
    match unit:
        case "m":
            return Meaning("m", said="metres, as given")
        case "mm":
            return Meaning("m", 1000.0, said="millimetres, as given")
        case "disparity":
            return Meaning("disparity", said="disparity, as given")
        case "auto":
            return _judged(raw, file, disparity)
        case _:
            raise AssertionError(unit)


def _judged(raw: NDArray[Any], file: Path, disparity: bool) -> Meaning:
    if disparity:
        return Meaning("disparity", said="disparity, by the name")
    if raw.dtype.kind == "f" or not (known := raw[raw > 0]).size:
        return Meaning("m", said="metres, as floats are")
    if raw.dtype.itemsize == 1:
        raise DataFileError(
            f"{file}: holds 8-bit numbers up to {int(raw.max())}, which say no unit; give the unit (m, mm or "
            "disparity) or how many of them are one metre."
        )
    if known.max() < 2**16:
        bits = known.astype(np.uint16)
        if known.max() > NO_READING and bits.byteswap().max() <= NO_READING:
            return Meaning("m", coding="kinect", said="raw disparity of a Kinect with its bytes exchanged (as in NYU)")
        if known.max() > TURNED_FROM and (bits & 7 <= 1).all() and (bits & 7 == 0).mean() > 0.5:
            return Meaning("m", 1000.0, "turned", "millimetres with their bits turned by three (as in SUN)")
    if np.median(known) > MILLIMETRES_FROM:
        return Meaning("m", 1000.0, said="millimetres, as whole numbers with a median above 100 are")
    return Meaning("m", said="metres, as whole numbers with a median up to 100 are")


def in_metres(raw: NDArray[Any], meaning: Meaning) -> NDArray[np.float32]:
    """(h, w) float32 in metres or as disparity; NaN where there is none: 0, below 0, not finite, or no reading.

    Source: of the Kinect's raw disparity d, z = 351.3 / (1092.5 - d) metres: the calibration that comes with NYU Depth.
    """
    hole = ~np.isfinite(raw) | (raw <= 0)
    match meaning.coding:
        case "plain":
            if raw.dtype.kind in "ui" and raw.dtype.itemsize > 1:
                hole |= raw == SATURATED
            z = raw / np.float64(meaning.per_metre)
        case "turned":
            bits = raw.astype(np.uint16)
            z = ((bits >> 3) | (bits << 13)) / np.float64(meaning.per_metre)
        case "kinect":
            bits = raw.astype(np.uint16).byteswap()
            over, shift = KINECT
            hole |= bits >= int(shift)
            z = over / (shift - np.minimum(bits, int(shift)))
        case _:
            raise AssertionError(meaning.coding)
    return np.where(hole, np.float32(np.nan), z.astype(np.float32))


def check_plausible(median: float, file: Path, meaning: Meaning) -> None:
    """Refuse a median depth that no camera sees.

    Raises:
        DataFileError: it lies outside 0.05 to 200 m.
    """
    if meaning.unit == "m" and not NEAREST <= median <= FARTHEST:
        other = "mm" if median > FARTHEST else "m"
        raise DataFileError(
            f"{file}: half of its depth is beyond {median:.4g} m, read as {meaning.said}; {NEAREST:g} to "
            f"{FARTHEST:g} m was expected. Give the unit ({other} or disparity?) or how many numbers are one metre."
        )
