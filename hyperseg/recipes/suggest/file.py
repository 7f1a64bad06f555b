"""The file of a suggestion: labelled parcels and suggested fields in one layer, to be filled in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.data.splits.components import parcel_numbers
from hyperseg.io.write.regions import region_sums
from hyperseg.io.write.style import polygons_qml
from hyperseg.io.write.vectors import write_outlines
from hyperseg.recipes.run.load import LoadedRun
from hyperseg.recipes.suggest.describe import Suggestion

TO_VISIT = (255, 0, 255)  # in the style of the file


def write_fields(
    out: Path,
    found: Sequence[Suggestion],
    regions: NDArray[np.int64],
    number: NDArray[np.int64],
    scene: Scene,
    loaded: LoadedRun,
) -> int:
    """Write labelled parcels and suggested fields as one layer.

    Args:
        out: the file.
        found: the suggested fields.
        regions: (n,) their numbers.
        number: (H, W) region of every pixel, -1 where there is no data.
        scene: for labels, parcels and coordinates.
        loaded: the run, for the colours of classes that the scene's labels lack.

    Returns:
        How many labelled polygons were written.
    """
    numbers, names = _labelled_parcels(scene)
    of_region = np.zeros(number.max() + 2, np.int32)  # the last is that of -1
    of_region[regions] = len(names) + np.arange(len(found))
    numbers = np.where(of_region[number] > 0, of_region[number], numbers).astype(np.int32)
    n = len(names)

    def column(name: str, empty: Any, kind: Any) -> NDArray[Any]:
        return np.array([empty] * n + [getattr(f, name) for f in found], kind)

    columns: dict[str, NDArray[Any]] = {
        "rank": column("rank", 0, np.int32),
        "class": np.array([*names, *[None] * len(found)], object),
        "predicted": column("predicted", None, object),
        "second": column("second", None, object),
        "confidence": column("confidence", np.nan, float),
        "pixels": region_sums(numbers, None, n + len(found)).astype(np.int64),
        "gain_px": column("gain_px", np.nan, float),
    }
    if found[0].area_ha is not None:
        columns["area_ha"] = column("area_ha", np.nan, float)
    if found[0].walk_km is not None:
        columns["walk_km"] = column("walk_km", np.nan, float)
    columns["reason"] = column("reason", None, object)
    colours = dict(zip(loaded.classes, loaded.colours, strict=True)) | dict(
        zip(scene.classes, scene.colours, strict=False)
    )
    # an empty value is how QGIS spells "all other values"
    qml = polygons_qml((*colours, ""), (*colours.values(), TO_VISIT), column="class")
    return write_outlines(out, numbers, columns, grid=scene.grid, qml=qml) - len(found)


def _labelled_parcels(scene: Scene) -> tuple[NDArray[np.int32], list[str | None]]:
    """(H, W) numbers of labelled parcels from 1 on, 0 elsewhere, and the class of every number; that of 0 is None."""
    if scene.labels is None:
        return np.zeros(scene.shape, np.int32), [None]
    labels = np.where(scene.labelled(), scene.labels, np.int16(-1))
    parcels = parcel_numbers(labels, scene.parcels)
    there, numbers = np.unique(parcels, return_inverse=True)
    numbers = numbers.reshape(scene.shape) + int(there[0] >= 0)
    first = np.unique(numbers, return_index=True)
    names: list[str | None] = [None, *(scene.classes[labels.flat[i]] for v, i in zip(*first, strict=True) if v > 0)]
    return numbers.astype(np.int32), names
