"""Areas of classes in words and rows, for the report and for the screen.

`areas` is what a run keeps under "areas" in `metrics.json`: numbers in `areas["unit"]` or percent, NaN or None
where unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hyperseg.core.words import NARROW, UNKNOWN, counted, number, thousands
from hyperseg.metrics.design import FEWEST

SHOWN = 3


def area_rows(areas: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a table of areas shows of every class."""
    return [
        {
            "name": name,
            "mapped": amount(entry["mapped"]),
            "mapped_percent": number(entry["mapped_percent"]),
            "estimated": amount(entry["estimated"]),
            "interval": _interval(entry),
            "users": _spread(entry["users"], entry["users_error"]),
            "producers": _spread(entry["producers"], entry["producers_error"]),
        }
        for name, entry in areas["per_class"].items()
    ]


def unit_of(areas: Mapping[str, Any]) -> str:
    """The unit as a reader sees it."""
    return "pixels" if areas["unit"] == "px" else str(areas["unit"])


def area_line(areas: Mapping[str, Any], *, of: str = "") -> str:
    """The largest classes by their estimate, with intervals, on one line; `of` says whose areas they are."""
    known = [(name, entry) for name, entry in areas["per_class"].items() if _known(entry["estimated"])]
    # those of which nobody knows how far they are off come last
    largest = sorted(known, key=lambda item: (not _known(item[1]["low"]), -item[1]["estimated"], item[0]))[:SHOWN]
    if not largest:
        return f"Areas{of}, corrected for the errors of the map: none can be estimated."
    said = [f"{name} {amount(entry['estimated'])} ({_interval(entry, 'no interval')})" for name, entry in largest]
    more = len(areas["per_class"]) - len(largest)
    rest = f"; {more} more in areas.csv" if more else ""
    return f"Areas{of} in {unit_of(areas)}, corrected for the errors of the map (95 %): {', '.join(said)}{rest}."


def design_sentence(areas: Mapping[str, Any]) -> str:
    """How many independent pixels would tell as much about OA as the reference pixels; "" where these are taken so."""
    design = areas.get("design")
    if not design:
        return ""
    unit = "polygon" if areas["sampled"]["unit"] == "polygon" else "field"
    held = f"{counted(design['pixels'], design['sample'] + ' pixel')} of {counted(design['parcels'], unit)}"
    if _known(effect := design["design_effect"]):
        alike = thousands(max(1, round(design["effective_pixels"])))
        return f"For OA, {held} tell as much as {alike} independent ones: design effect {effect:.3g}."
    why = f"these are too few {unit}s"
    if design["parcels"] >= FEWEST:
        why = f"these {unit}s do not differ in how well they are mapped"
    return f"For OA, how much {held} tell is not known: {why}."


def amount(value: float | None) -> str:
    """An area with three digits or more, a space between thousands; a dash where it is unknown."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0 or value >= 100:
        return thousands(round(value), NARROW)
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value >= 0.001 else f"{value:.1g}"


def _interval(entry: Mapping[str, Any], unknown: str = UNKNOWN) -> str:
    if not (_known(entry["low"]) and _known(entry["high"])):
        return unknown
    if entry["low"] == entry["high"]:  # a sample without an error cannot tell how many there are
        return "no error seen"
    return f"{amount(entry['low'])} – {amount(entry['high'])}"


def _spread(value: float | None, error: float | None) -> str:
    return f"{number(value)} ± {number(error)}" if _known(error) and error else number(value)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
