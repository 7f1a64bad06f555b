"""Label rasters: file codes become classes 0..K-1 with names and colours."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, Scene
from hyperseg.io.formats.array import FileArray
from hyperseg.io.labels.qml import read_qml
from hyperseg.io.look.valid import without_data

log = logging.getLogger(__name__)
# more codes than this are a measurement or an identifier, not classes
MAX_CLASSES = 1000


@dataclass(frozen=True)
class Labels:
    """A label raster in the package's own codes.

    Attributes:
        codes: (H, W) int16, classes 0..K-1 in ascending order of the file's codes, -1 = unlabelled.
        classes: K names.
        colours: K sRGB triples, or None where the file has none for every class.
        file_codes: the K codes of the file; `file_codes[k]` became k.
        parcels: (H, W) int32 number of the drawn polygon a label comes from, -1 none; None for rasters.
    """

    codes: NDArray[np.int16]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] | None
    file_codes: tuple[int, ...]
    parcels: NDArray[np.int32] | None = None


def map_codes(
    values: NDArray[Any],
    *,
    origin: str,
    nodata: float | None = None,
    names: Mapping[int, str] | None = None,
    palette: Mapping[int, tuple[int, int, int]] | None = None,
) -> Labels:
    """Translate file codes (H, W): 0, `nodata`, NaN and negative codes are unlabelled.

    `names` and `palette` are by file code; `origin` is the file, for messages.

    Raises:
        LabelError: fractions, no labelled pixel, too many codes, or 0 beside undeclared negative codes.
    """
    unlabelled = (values == 0) | (values == nodata) if nodata is not None else values == 0
    if values.dtype.kind == "f":
        unlabelled |= ~np.isfinite(values)
        if not np.equal(np.mod(values[~unlabelled], 1), 0).all():
            raise LabelError(f"{origin}: holds fractions; labels are whole numbers, 0 = unlabelled, 1..K = classes.")
    negative = (values < 0) & ~unlabelled if values.dtype.kind in "if" else np.zeros(values.shape, bool)
    if negative.any() and (values == 0).any():
        raise LabelError(
            f"{origin}: holds 0 and {int(values[negative].max())}: which one means unlabelled is unclear. "
            "Write classes as 1..K and unlabelled pixels as 0."
        )
    unlabelled |= negative
    present = np.unique(values[~unlabelled]).astype(np.int64)
    if len(present) == 0:
        raise LabelError(f"{origin}: every pixel is unlabelled (0 or no-data); classes are codes 1..K.")
    if len(present) > MAX_CLASSES:
        raise LabelError(f"{origin}: holds {len(present)} different codes; that is a measurement, not a label raster.")
    codes = np.full(values.shape, UNLABELLED, np.int16)
    codes[~unlabelled] = np.searchsorted(present, values[~unlabelled].astype(np.int64)).astype(np.int16)
    named, coloured = names or {}, palette or {}
    classes = tuple(named.get(int(c), f"class {int(c)}") for c in present)
    colours = tuple(coloured[int(c)] for c in present if int(c) in coloured)
    # a grey ramp has a colour for every code, a broken table the same one: neither tells classes apart
    usable = len(colours) == len(present) and len(set(colours)) > len(colours) // 2
    return Labels(codes, classes, colours if usable else None, tuple(int(c) for c in present))


def labels_of(file: FileArray, shape: tuple[int, ...]) -> Labels:
    """Labels from an opened file, checked against the pixels of the cube.

    Names and colours that the file lacks come from a QGIS style (.qml) of the same name.

    Raises:
        LabelError: another shape than `shape`, or as in `map_codes`.
    """
    origin = str(file.path) if file.key is None else f"{file.path}:{file.key}"
    found = tuple(file.array.shape)
    if found != tuple(shape):
        hint = "both must lie on the same grid: crop or resample the labels (nearest neighbour)"
        if len(found) == 3:
            hint = f"it has {found[-1]} bands, a label raster has one"
        elif found == tuple(shape)[::-1]:
            hint = "it looks transposed: swap rows and columns"
        raise LabelError(f"{origin}: the labels have shape {found}, the cube's pixels are {tuple(shape)}; {hint}.")
    values = np.asarray(file.array[...])
    names, palette = file.names, file.palette
    if not (names and palette):
        styled, coloured = read_qml(file.path.with_suffix(".qml")).by_code()
        names, palette = names or styled, palette or coloured
    return map_codes(values, origin=origin, nodata=file.nodata, names=names, palette=palette)


def only_present(labels: Labels, origin: object) -> Labels:
    """The labels with the classes that have a pixel, numbered 0..K-1; `origin` is the file, for messages."""
    present = np.unique(labels.codes[labels.codes >= 0])
    lost = [name for k, name in enumerate(labels.classes) if k not in present]
    if lost:
        log.info("%s: no pixel of the scene is %s; left out", origin, ", ".join(lost[:8]))
    table = np.full(len(labels.classes) + 1, UNLABELLED, np.int16)
    table[present] = np.arange(len(present))
    return Labels(
        table[labels.codes],  # -1 reads the last entry, which is -1
        tuple(labels.classes[k] for k in present),
        None if labels.colours is None else tuple(labels.colours[k] for k in present),
        tuple(labels.file_codes[k] for k in present),
        labels.parcels,
    )


def with_labels(scene: Scene, found: Labels) -> Scene:
    """The scene with these labels, their names and colours; colours are made up where the file has none."""
    from hyperseg.io.labels.colours import LARGEST, palette

    n = len(found.classes)
    distinct = palette(min(n, LARGEST))
    colours = found.colours or tuple(distinct[i % LARGEST] for i in range(n))
    return scene.with_(labels=found.codes, classes=found.classes, colours=colours, parcels=found.parcels)


def only_where_data(scene: Scene) -> Scene:
    """The scene with labels taken back where its pixels hold no data."""
    if scene.labels is None:
        return scene
    empty = without_data(scene)
    if not empty.any():
        return scene
    log.info("%s: %d labelled pixels hold no data; their labels are left out", scene.name, empty.sum())
    parcels = None if scene.parcels is None else np.where(empty, np.int32(-1), scene.parcels)
    return scene.with_(labels=np.where(empty, np.int16(UNLABELLED), scene.labels), parcels=parcels)
