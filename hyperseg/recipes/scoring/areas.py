"""How much ground each class covers: as mapped, and corrected for the errors of the map."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Grid
from hyperseg.core.codes import codes_of
from hyperseg.core.words import as_cell, listed
from hyperseg.io.pixel_area import mean_pixel_area, pixel_areas
from hyperseg.io.write import write_text
from hyperseg.metrics.area import Areas, adjusted_areas

SQUARE_METRES_PER_HA = 10_000.0
FEW = 50  # the least per mapped class that Olofsson et al. (2014) recommend is 50 to 100; our choice of the lower end
SAMPLES = {
    "test": "Test pixels of a split are not a probability sample of the scene: they lie in labelled fields, beside "
    "each other, so that the estimates hold as far as these fields stand for the scene, and the intervals are rather "
    "too narrow.",
    "labelled": "The estimates hold if the labels are a random sample of the scene: labels drawn where it was easy "
    "make them biased, and labels beside each other make the intervals too narrow.",
}
Sample = Literal["test", "labelled"]


def describe_areas(
    labels: NDArray[Any],
    table: NDArray[np.integer[Any]],
    classes: Sequence[str],
    grid: Grid,
    *,
    sample: Sample,
    codes: Sequence[int] | None = None,
) -> dict[str, Any] | None:
    """Areas of the classes of a map, as JSON; None where no reference pixel lies on the map.

    Args:
        labels: (H, W) the map, classes 0..K-1, -1 = none.
        table: (K, K + 1) confusion of the reference pixels: rows true, columns mapped.
        classes: K names.
        grid: where the size of a pixel comes from; without one, areas are in pixels.
        sample: what the reference pixels are: test pixels of a split, or labels of unknown origin.
        codes: K codes of the classes in files, or None for 1..K.
    """
    k, known = len(classes), codes_of(len(classes), codes)
    if not table[:, :k].any():
        return None
    pixels = np.bincount(labels[labels != UNLABELLED], minlength=k)
    rows = pixel_areas(grid, labels.shape)
    size = np.ones(k) if rows is None else mean_pixel_area(labels, k, rows) / SQUARE_METRES_PER_HA
    found = adjusted_areas(table, pixels, pixel_area=size)
    unit = "px" if rows is None else "ha"
    return {
        "unit": unit,
        "pixel_area_m2": None if rows is None else float(rows.mean()),
        "total": found.total,
        "assessed": found.assessed,
        "OA": found.overall,
        "OA_error": found.overall_error,
        "sample": SAMPLES[sample],
        "per_class": {
            name: {
                "code": known[i],
                "pixels": int(pixels[i]),
                "mapped": float(found.mapped[i]),
                "mapped_percent": 100 * float(found.mapped[i]) / found.total,
                "estimated": float(found.estimated[i]),
                "estimated_percent": 100 * float(found.estimated[i]) / found.assessed,
                "error": float(found.error[i]),
                "low": float(found.low[i]),
                "high": float(found.high[i]),
                "users": float(found.users[i]),
                "users_error": float(found.users_error[i]),
                "producers": float(found.producers[i]),
                "producers_error": float(found.producers_error[i]),
                "reference_pixels": int(table[i].sum()),
                "reference_pixels_mapped": int(table[:, i].sum()),
            }
            for i, name in enumerate(classes)
        },
        "notes": _notes(found, table, classes, unit, sample),
    }


def write_areas(path: Path, areas: Mapping[str, Any] | None) -> None:
    """Write areas as CSV, a line per class; units are in the names of the columns, unknown numbers are empty."""
    per_class = {} if areas is None else areas["per_class"]
    unit = "px" if areas is None else areas["unit"]
    columns = {
        "code": "code",
        "pixels": "pixels",
        "mapped": f"mapped_{unit}",
        "mapped_percent": "mapped_percent",
        "estimated": f"estimated_{unit}",
        "error": f"standard_error_{unit}",
        "low": f"low95_{unit}",
        "high": f"high95_{unit}",
        "estimated_percent": "estimated_percent_of_assessed",
        "users": "users_accuracy_percent",
        "users_error": "users_standard_error_percent",
        "producers": "producers_accuracy_percent",
        "producers_error": "producers_standard_error_percent",
        "reference_pixels": "reference_pixels",
        "reference_pixels_mapped": "reference_pixels_mapped",
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["class", *columns.values()])
    for name, entry in per_class.items():
        rows.writerow([as_cell(name), *(_cell(entry[key]) for key in columns)])
    write_text(path, text.getvalue())


def _cell(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}" if np.isfinite(value) else ""


def _notes(
    found: Areas, table: NDArray[np.integer[Any]], classes: Sequence[str], unit: str, sample: Sample
) -> list[str]:
    """What the estimates leave out or rest on, each a full sentence."""

    def named(which: Sequence[int]) -> str:
        return listed(classes[i] for i in which)

    notes, pixel = [], f"{sample} pixel"
    if found.unassessed:
        left = found.total - found.assessed
        notes.append(
            f"No {pixel} lies on ground mapped as {named(found.unassessed)}: this ground ({left:.4g} {unit}, "
            f"{100 * left / found.total:.1f} % of the map) is in no estimate."
        )
    unseen = [i for i in found.unseen if i not in found.unassessed]
    if unseen:
        notes.append(f"No {pixel} belongs to {named(unseen)}: the area is not known.")
    if found.lone:
        notes.append(
            f"One {pixel} lies on ground mapped as {named(found.lone)}: the variance there was taken to be the "
            "largest possible."
        )
    drawn = table[:, : len(classes)].sum(0)
    few = [i for i, n in enumerate(drawn) if 1 < n < FEW]
    if few:
        notes.append(
            f"Fewer than {FEW} {pixel}s lie on ground mapped as {named(few)}: intervals that rest on so few are "
            "not reliable."
        )
    if found.left_out:
        notes.append(f"{found.left_out} {pixel}s lie where the map has no class; areas are about the rest.")
    return notes
