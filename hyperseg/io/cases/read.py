"""One case of a folder as a `Scene`: channels together, label codes as classes, axes as (depth, rows, columns)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid, LabelError, Scene
from hyperseg.core.words import listed, some
from hyperseg.io.cases.case import Case, CaseFolder
from hyperseg.io.cases.decode import decode_image, decode_label, in_colours
from hyperseg.io.cases.picture import HALF, Picture, Place, apart, ordered, spacing_of, turned


def read_case(folder: CaseFolder, case: Case, *, labels: bool = True) -> Scene:
    """The image of a case, and its classes 0..K-1 where it has a label.

    Axes: a NIfTI volume is brought to right, anterior, superior by swaps and flips alone, and its axes are reversed, so
    that the scene is (depth, rows, columns) with depth up, rows to the front and columns to the right;
    `write_prediction` turns back. Pictures and arrays keep their axes.

    Args:
        folder: as `open_cases` gives it: it knows channels, classes and codes.
        case: one of its cases.
        labels: False leaves the label file unread.

    Returns:
        cube (*S, C) in the type of the file where there is one file (a memory map where no axis is flipped), labels
        int16 with -1 for the code that is ignored, grid.spacing per axis in mm, or 1 px where nothing says.

    Raises:
        DataFileError: a file is unreadable, channels are missing, or channels of a case do not lie on each other.
        LabelError: the label lies on another grid, or holds a code that is no class.
    """
    image = read_image(case, len(folder.channels))
    cube = turned(image.array, image.place)
    if min(cube.strides) < 0:  # an axis was flipped, and torch takes no array that runs backwards
        cube = np.ascontiguousarray(cube)
    found = None
    if labels and case.label is not None:
        found = classes_of(case.label, read_label(case, image).array[..., 0], folder)
        found = np.ascontiguousarray(turned(found, image.place))
    grid = Grid(spacing_of(image.place, cube.ndim - 1), "px" if image.place is None else "mm")
    return Scene(
        cube, found, classes=folder.classes, grid=grid, name=case.name, source=str(case.images[0]), codes=folder.codes
    )


def read_image(case: Case, channels: int | None = None) -> Picture:
    """(*S, C) of all channels of a case, in the order of the axes of its first file.

    Raises:
        DataFileError: as `read_case`; `channels` is the number to expect, None for any.
    """
    parts = [decode_image(path) for path in case.images]
    first = parts[0]
    for path, part in zip(case.images[1:], parts[1:], strict=True):
        if (why := misfit(first, part)) is not None:
            raise DataFileError(
                f"{path}: {why} than {case.images[0].name}. Channels of a case lie on one grid: resample."
            )
    if len(parts) == 1:
        array = first.array
        if in_colours(case.images[0], array.ndim - 1):
            array = _as_many(array, channels)
    else:
        array = np.concatenate([part.array for part in parts], -1)
    if channels is not None and array.shape[-1] != channels:
        raise DataFileError(
            f"{case.images[0]}: has {array.shape[-1]} channels, {channels} were expected as in the rest of the folder. "
            "Convert it, or name the channels in a dataset.json."
        )
    return Picture(array, _place(case, first), tuple(dict.fromkeys(word for part in parts for word in part.remarks)))


def read_label(case: Case, image: Picture) -> Picture:
    """(*S, 1) codes of the label of a case, several masks joined, in the order of the axes of its image.

    Raises:
        LabelError: another shape or place than the image, or masks of several classes that cannot be joined.
    """
    assert case.label is not None
    codes: NDArray[Any] | None = None
    remarks: list[str] = []
    for path in (case.label, *case.also):
        part = decode_label(path)
        if (why := misfit(image, part)) is not None:
            raise LabelError(f"{path}: {why} than {case.images[0].name}. {REMEDY}")
        remarks += part.remarks
        mine = part.array
        codes = mine if codes is None else joined(path, codes, mine)
    assert codes is not None
    return Picture(codes, image.place, tuple(dict.fromkeys(remarks)))


def joined(path: Path, codes: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    """Two masks of one class as one; 255 and 1 both say "yes", as one-bit pictures have 1.

    Raises:
        LabelError: several classes.
    """
    kinds = {int(code) for code in (*np.unique(codes), *np.unique(more))}
    inside = kinds - {0}
    if len(inside) > 1 and not inside <= YES:
        raise LabelError(
            f"{path}: is a further mask of an image, and they hold the codes {some(map(str, sorted(kinds)), 6)}; only "
            "masks of one class are joined. Make one file of them."
        )
    return ((codes > 0) | (more > 0)).astype(codes.dtype) * codes.dtype.type(codes.max() or more.max())


UNKNOWN = -2
YES = {1, 255}  # what masks have for their class
REMEDY = (
    "Label and image must lie on one grid: resample the label with the nearest neighbour, or, where voxels belong "
    "together as they stand, give the label the header of the image."
)


def misfit(image: Picture, other: Picture) -> str | None:
    """What differs between the grids of two files, as in "has 10x10 voxels, other ... than"; None for nothing."""
    if image.shape != other.shape:
        sizes = ["x".join(map(str, ordered(each.shape, each.place))) for each in (other, image)]
        return f"has {sizes[0]} voxels instead of {sizes[1]}, which is another shape"
    here, there = image.place, other.place
    if here is None or there is None:
        return None
    if not np.allclose(here.spacing, there.spacing, rtol=1e-3):
        return f"has voxels of {_mm(there)} instead of {_mm(here)}, which is another spacing"
    if here.orientation and there.orientation and here.orientation != there.orientation:
        return f"runs {there.orientation} instead of {here.orientation}, which is another orientation"
    if (far := apart(here, there, image.shape)) > HALF:
        return f"lies up to {far:.3g} voxels away, which is another place"
    return None


def classes_of(path: Path, codes: NDArray[Any], folder: CaseFolder) -> NDArray[np.int16]:
    """Codes as classes 0..K-1, -1 for the code that is ignored.

    Raises:
        LabelError: a code that is no class.
    """
    if folder.instances:
        return (codes > 0).astype(np.int16)
    known = folder.class_of
    if codes.min() >= 0 and codes.max() <= max(known):
        table = np.full(max(known) + 1, UNKNOWN, np.int16)
        table[list(known)] = list(known.values())
        found = table[codes]
        if found.min() != UNKNOWN:
            return found
    raise LabelError(unknown_message(path, unknown_codes(np.unique(codes), folder), sorted(known)))


def unknown_codes(found: Sequence[int] | NDArray[Any], folder: CaseFolder) -> list[int]:
    """Those of the codes that are no class."""
    return sorted({int(code) for code in found} - folder.class_of.keys())


def unknown_message(path: Path, unknown: Sequence[int], codes: Sequence[int]) -> str:
    """One line for a label with codes that are no class."""
    return (
        f"{path}: holds the code {listed(map(str, unknown), most=4)}, expected {listed(map(str, codes), most=8)}. "
        "Correct the label, or name the class in dataset.json."
    )


def _place(case: Case, image: Picture) -> Place | None:
    """Of the file, or the spacing that something beside it states.

    Raises:
        DataFileError: lengths for another number of axes.
    """
    place = Place(case.spacing) if image.place is None and case.spacing else image.place
    if place is not None and len(place.spacing) != len(image.shape):
        told, shape = ",".join(f"{n:g}" for n in place.spacing), "x".join(map(str, image.shape))
        raise DataFileError(
            f"{case.images[0]}: its spacing is {told}, its array has the axes {shape}; a length in mm for each was "
            "expected. Correct the spacing (--spacing, spacing.csv, dataset.json, or the file's own)."
        )
    return place


def _as_many(array: NDArray[Any], channels: int | None) -> NDArray[Any]:
    """Grey among colours is repeated, colours that are all equal among grey are one."""
    if channels == 3 and array.shape[-1] == 1:
        return np.repeat(array, 3, -1)
    if channels == 1 and array.shape[-1] == 3 and (array == array[..., :1]).all():
        return array[..., :1]
    return array


def _mm(place: Place) -> str:
    return f"{' x '.join(f'{n:.4g}' for n in spacing_of(place, len(place.spacing)))} mm"
