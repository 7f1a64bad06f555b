"""How much ground each class covers: as mapped, and corrected for the errors of the map."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Grid
from hyperseg.core.codes import codes_of
from hyperseg.core.words import as_cell, counted, listed
from hyperseg.data.splits.components import parcel_numbers
from hyperseg.io.pixel_area import mean_pixel_area, pixel_areas
from hyperseg.io.write import write_text
from hyperseg.metrics.area import Areas, adjusted_areas
from hyperseg.metrics.area_parcels import parcel_areas
from hyperseg.metrics.design import FEWEST, Design, design_of

SQUARE_METRES_PER_HA = 10_000.0
FEW = 50  # the least per mapped class that Olofsson et al. (2014) recommend is 50 to 100; our choice of the lower end
MOST_NAMED = 12
FEW_PARCELS = 10  # of a class; our choice: with three to nine, intervals held 87 to 95 % of true areas in simulations
Sample = Literal["test", "labelled"]


@dataclass(frozen=True)
class Reference:
    """Reference pixels that come in parcels, on the grid of the map.

    Attributes:
        truth: (H, W) class of every reference pixel, -1 elsewhere.
        parcels: (H, W) number of its parcel.
        drawn: whether parcels are drawn polygons; else they are connected fields of one class.
    """

    truth: NDArray[np.int16]
    parcels: NDArray[np.int32]
    drawn: bool

    @staticmethod
    def of(labels: NDArray[np.int16], polygons: NDArray[np.int32] | None, where: NDArray[np.bool_]) -> Reference:
        """The labels at `where`, with the parcels of all of them: a field cut by a guard is still one."""
        truth = np.where(where, labels, np.int16(UNLABELLED))
        return Reference(truth, parcel_numbers(labels, polygons), polygons is not None)


def describe_areas(
    labels: NDArray[Any],
    table: NDArray[np.integer[Any]],
    classes: Sequence[str],
    grid: Grid,
    *,
    sample: Sample,
    codes: Sequence[int] | None = None,
    reference: Reference | None = None,
) -> dict[str, Any] | None:
    """Areas of the classes of a map, as JSON; None where no reference pixel lies on the map.

    Args:
        labels: (H, W) the map, classes 0..K-1, -1 = none.
        table: (K, K + 1) confusion of the reference pixels: rows true, columns mapped.
        classes: K names.
        grid: where the size of a pixel comes from; without one, areas are in pixels.
        sample: what the reference pixels are: test pixels of a split, or labels of unknown origin.
        codes: K codes of the classes in files, or None for 1..K.
        reference: the reference pixels themselves, where they come in parcels: then intervals are those of parcels.
    """
    k, of_class = len(classes), codes_of(len(classes), codes)
    if not table[:, :k].any():
        return None
    pixels = np.bincount(labels[labels != UNLABELLED], minlength=k)
    rows = pixel_areas(grid, labels.shape)
    size = np.ones(k) if rows is None else mean_pixel_area(labels, k, rows) / SQUARE_METRES_PER_HA
    design = None
    if reference is None:
        found = adjusted_areas(table, pixels, pixel_area=size)
    else:
        truth, parcels = reference.truth, reference.parcels
        known = truth != UNLABELLED
        found = parcel_areas(truth[known], labels[known], parcels[known], pixels, pixel_area=size)
        design = design_of(truth[known] == labels[known], parcels[known])
    unit_of_sample = "pixel" if reference is None else "polygon" if reference.drawn else "field"
    unit = "px" if rows is None else "ha"
    return {
        "unit": unit,
        "pixel_area_m2": None if rows is None else float(rows.mean()),
        "total": found.total,
        "assessed": found.assessed,
        "OA": found.overall,
        "OA_error": found.overall_error,
        "sample": said_of(sample, unit_of_sample, found.drawn),
        "sampled": {"unit": unit_of_sample, "n": found.drawn or int(table[:, :k].sum())},
        "design": None if design is None else _design(design, sample),
        "per_class": {
            name: {
                "code": of_class[i],
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
                "reference_parcels": None if found.parcels is None else found.parcels[i],
                "design_effect": None if found.effects is None else float(found.effects[i]),
            }
            for i, name in enumerate(classes)
        },
        "notes": _notes(found, table, classes, unit, f"{sample} {unit_of_sample}"),
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
        "reference_parcels": "reference_parcels",
        "design_effect": "design_effect",
    }
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["class", *columns.values()])
    for name, entry in per_class.items():
        rows.writerow([as_cell(name), *(_cell(entry[key]) for key in columns)])
    write_text(path, text.getvalue())


def _design(design: Design, sample: Sample) -> dict[str, Any]:
    """How much the reference pixels tell about OA on themselves."""
    return {
        "sample": sample,
        "pixels": design.n,
        "parcels": design.parcels,
        "OA": design.accuracy,
        "OA_error": design.error,
        "design_effect": design.effect,
        "effective_pixels": design.effective,
    }


def _cell(value: float | int | None) -> str:
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    return f"{value:.6g}" if np.isfinite(value) else ""


def said_of(sample: Sample, unit: str, n: int) -> str:
    """What estimates and intervals rest on."""
    if unit == "pixel":
        return (
            f"The {sample} pixels are taken one by one, though they lie in labelled fields, beside each other: the "
            "estimates hold as far as these fields stand for the scene, and the intervals are rather too narrow."
        )
    which = {"polygon": ("polygon", "polygons"), "field": ("connected field of one class", "connected fields")}[unit]
    stand = {
        "test": "They hold as far as the labelled fields stand for the scene.",
        "labelled": "They hold as far as these stand for the scene: labels drawn where it was easy make them biased.",
    }[sample]
    return (
        f"The {sample} pixels lie in {counted(n, *which)}, which are right or wrong together: intervals come from how "
        f"much these differ from each other (Stehman 1997). {stand}"
    )


def _notes(found: Areas, table: NDArray[np.integer[Any]], classes: Sequence[str], unit: str, one: str) -> list[str]:
    """What the estimates leave out or rest on, each a full sentence; `one` is what was sampled."""

    def named(which: Iterable[int]) -> str:
        return listed((classes[i] for i in which), most=MOST_NAMED)

    notes, pixel = [], f"{one.split()[0]} pixel"
    if found.unassessed:
        left = found.total - found.assessed
        notes.append(
            f"No {pixel} lies on ground mapped as {named(found.unassessed)}: this ground ({left:.4g} {unit}, "
            f"{100 * left / found.total:.1f} % of the map) is in no estimate."
        )
    unseen = [i for i in found.unseen if i not in found.unassessed]
    if unseen:
        notes.append(f"No {pixel} belongs to {named(unseen)}: the area is not known.")
    if found.thin:
        notes.append(f"Fewer than {FEWEST} {one}s are {named(found.thin)}: no interval can be given.")
    if found.lone:
        notes.append(
            f"One {one} lies on ground mapped as {named(found.lone)}: the variance there was taken to be the "
            "largest possible."
        )
    drawn, least = (table[:, : len(classes)].sum(0), FEW) if found.parcels is None else (found.parcels, FEW_PARCELS)
    few = [i for i, n in enumerate(drawn) if 1 < n < least and i not in found.thin]
    if few:
        lie = "lie on ground mapped as" if found.parcels is None else "are"
        notes.append(f"Fewer than {least} {one}s {lie} {named(few)}: intervals that rest on so few are not reliable.")
    if found.left_out:
        notes.append(f"{found.left_out} {pixel}s lie where the map has no class; areas are about the rest.")
    return notes
