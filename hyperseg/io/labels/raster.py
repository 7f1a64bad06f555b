"""Label rasters: file codes become classes 0..K-1 with names and colours."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, Scene
from hyperseg.core.codes import BYTE
from hyperseg.core.groups import ClassGroups
from hyperseg.core.words import clean_name, distinct, some
from hyperseg.io.formats.array import FileArray
from hyperseg.io.labels.background import unlabelled_in
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
        numbered: classes are told in words: `file_codes` are 1..K in the order of the names.
        beside: K codes of such classes that a column of codes beside the names tells, or None.
        groups: which classes belong together, or None.
    """

    codes: NDArray[np.int16]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] | None
    file_codes: tuple[int, ...]
    parcels: NDArray[np.int32] | None = None
    numbered: bool = False
    beside: tuple[int, ...] | None = None
    groups: ClassGroups | None = None


def map_codes(
    values: NDArray[Any],
    *,
    origin: str,
    nodata: float | None = None,
    names: Mapping[int, str] | None = None,
    palette: Mapping[int, tuple[int, int, int]] | None = None,
    whole: bool = True,
) -> Labels:
    """Translate file codes (H, W): 0, `nodata`, NaN and negative codes are unlabelled.

    0 is a class where the file declares another value as no-data, and 255 (or the largest value of the type) is
    unlabelled where no 0 is and nothing is declared: see `unlabelled_in`. `names` and `palette` are by file code;
    `origin` is the file, for messages; `whole` is False for a part of it.

    Raises:
        LabelError: fractions, no labelled pixel, too many codes, or 0 beside undeclared negative codes.
    """
    # a label that only repeats the number is none
    named = {code: name for code, text in (names or {}).items() if (name := clean_name(text)) not in ("", str(code))}
    coloured = palette or {}
    unlabelled = unlabelled_in(values, origin=origin, nodata=nodata, names=named, whole=whole)
    present = np.unique(values[~unlabelled]).astype(np.int64)
    if len(present) == 0:
        raise LabelError(f"{origin}: every pixel is unlabelled (0 or no-data); classes are codes 1..K.")
    if len(present) > MAX_CLASSES:
        raise LabelError(f"{origin}: holds {len(present)} different codes; that is a measurement, not a label raster.")
    codes = np.full(values.shape, UNLABELLED, np.int16)
    codes[~unlabelled] = np.searchsorted(present, values[~unlabelled].astype(np.int64)).astype(np.int16)
    given = [named.get(int(c), f"class {int(c)}") for c in present]
    classes = distinct(given)
    if twice := [f"{c} = {new}" for c, old, new in zip(present, given, classes, strict=True) if old != new]:
        log.warning("%s: several codes have one name; they stay classes of their own: %s", origin, some(twice, 8))
    colours = tuple(coloured[int(c)] for c in present if int(c) in coloured)
    # a grey ramp has a colour for every code, a broken table the same one: neither tells classes apart
    usable = len(colours) == len(present) and len(set(colours)) > len(colours) // 2
    return Labels(codes, classes, colours if usable else None, tuple(int(c) for c in present))


def labels_of(file: FileArray, shape: tuple[int, ...], *, whole: bool = True) -> Labels:
    """Labels from an opened file, checked against the pixels of the cube.

    Names and colours that the file lacks come from a QGIS style (.qml) of the same name; `whole` is False where the
    array is a part of the file.

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
    return map_codes(values, origin=origin, nodata=file.nodata, names=names, palette=palette, whole=whole)


def only_present(labels: Labels, origin: object) -> Labels:
    """The labels with the classes that have a pixel, numbered 0..K-1; `origin` is the file, for messages."""
    present = np.unique(labels.codes[labels.codes >= 0])
    lost = [name for k, name in enumerate(labels.classes) if k not in present]
    if lost:
        log.info("%s: no pixel of the scene is %s; left out", origin, ", ".join(lost[:8]))
    table = np.full(len(labels.classes) + 1, UNLABELLED, np.int16)
    table[present] = np.arange(len(present))
    return replace(
        labels,
        codes=table[labels.codes],  # -1 reads the last entry, which is -1
        classes=tuple(labels.classes[k] for k in present),
        colours=None if labels.colours is None else tuple(labels.colours[k] for k in present),
        file_codes=tuple(labels.file_codes[k] for k in present),
        beside=None if labels.beside is None else tuple(labels.beside[k] for k in present),
        groups=None if labels.groups is None else labels.groups.kept(present.tolist()),
    )


def with_labels(scene: Scene, found: Labels) -> Scene:
    """The scene with these labels, their names, codes and colours.

    Codes that do not fit a byte become 1..K; colours are made up where the file has none. Both are told.
    """
    from hyperseg.io.labels.colours import LARGEST
    from hyperseg.io.labels.natural import class_colours

    codes: tuple[int, ...] | None = None if found.numbered else found.file_codes
    if codes is not None and not 0 <= min(codes) <= max(codes) <= BYTE:
        became = [f"{code} = {k}" for k, code in enumerate(codes, start=1)]
        log.warning(
            "%s: codes of the labels that do not fit a byte (0 to %d) are numbered anew in maps and tables: %s",
            scene.name, BYTE, some(became, 40),
        )  # fmt: skip
        codes = None
    if found.colours is None and len(found.classes) > LARGEST:
        log.info("%s: %d classes, and %d colours that can be told apart: classes share colours",
                 scene.name, len(found.classes), LARGEST)  # fmt: skip
    return scene.with_(
        labels=found.codes, classes=found.classes, colours=found.colours or class_colours(found.classes), codes=codes,
        parcels=found.parcels, groups=found.groups,
    )  # fmt: skip


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
