"""`open_boxes`: a folder of images with boxes, from a table of boxes or from masks; and `read_image` of one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, HypersegError
from hyperseg.core.words import counted, did_you_mean, listed
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.names import NUMBERED, stem_of
from hyperseg.io.cases.read import read_image as decoded
from hyperseg.io.detections.case import BoxCase, BoxFolder
from hyperseg.io.detections.columns import Row, Table, read_table, refuse
from hyperseg.io.detections.listed import Images, after_headers, images_in, one_image
from hyperseg.io.detections.masks import boxes_of_masks
from hyperseg.io.detections.placed import NoPlaceError, box_in
from hyperseg.io.detections.table import FILES
from hyperseg.io.paths import split_key

__all__ = ["BoxCase", "BoxFolder", "open_boxes", "open_images", "read_image"]
Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
FORMS = {
    "voxels": "lo and hi in voxels of each file's array",
    "mm": "centre_mm and size_mm in millimetres along each file's axes",
    "world": "x_mm, y_mm, z_mm in the world of NIfTI files (right, anterior, superior)",
    "itk": "coordX, coordY, coordZ in the world of ITK and LUNA16 (left, posterior, superior); "
    "columns x_mm, y_mm, z_mm would be right, anterior, superior",
}


def open_boxes(
    path: str | Path, *, boxes: Path | None = None, spacing: tuple[float, ...] = (), labelled: int | None = None,
    seed: int = 0, looked_at: bool = True, progress: Progress | None = None,
) -> BoxFolder:  # fmt: skip
    """The data set in a folder: images, and boxes from a table or from masks.

    A boxes.csv or boxes.json in the folder, or `boxes`, states them, see `columns`. Volumes that it names are labelled,
    also those in a row without a box: they hold no object. All others are unlabelled. Without such a file, masks are
    looked for as `io.cases` does; each connected part of a mask is an object, or each number of an instance map. Images
    without a mask are unlabelled. Every file's header is looked at, and every mask is read.

    Args:
        path: the folder.
        boxes: a table elsewhere; masks and the folder's own table are not looked at then.
        spacing: millimetres per axis of arrays and pictures whose files do not say them.
        labelled, seed: draw so many labelled cases, see `BoxFolder.labelled`.
        looked_at: False reads neither table nor masks: all images are unlabelled, to be predicted say.
        progress: told how many masks of how many are read.

    Raises:
        DataFileError: no folder, no images, unreadable files, or neither a table nor masks.
        LabelError: boxes or masks that do not fit their volumes: all of them, a line each.
        SettingError: more labelled cases than there are; a spacing, and every file states its own.
    """
    root = Path(path)
    images = images_in(root, spacing)
    found, faults, remarks = after_headers(images.cases)
    if faults := [*images.faults, *faults]:
        refuse(root, [fault.removeprefix(f"{root}/") for fault in faults])
    file = boxes or next((root / name for name in FILES if (root / name).is_file()), None)
    if not looked_at:
        cases, told = found, "boxes were not looked at: all images are unlabelled"
    elif file is not None:
        cases, told = _from_table(file, found)
    else:
        cases, told = _from_masks(root, images, found, progress)
    folder = BoxFolder(
        root, tuple(case for case in cases if case.boxes is not None),
        tuple(case for case in cases if case.boxes is None), f"{told}; {images.rule}." if images.rule else f"{told}.",
        len(cases[0].shape), cases[0].channels, tuple(remarks),
    )  # fmt: skip
    return folder if labelled is None else folder.labelled(labelled, seed)


def open_images(path: str | Path, *, spacing: tuple[float, ...] = ()) -> tuple[BoxCase, ...]:
    """All images of a folder, or the one in a file, without boxes.

    Raises:
        DataFileError: none there, or unreadable ones.
        LabelError: several of them that do not fit together.
    """
    place = Path(path)
    file, key = split_key(place)
    images = one_image(place, spacing) if file.is_file() or key else images_in(place, spacing)
    found, faults, _ = after_headers(images.cases)
    if faults := [*images.faults, *faults]:
        refuse(place, faults) if len(faults) > 1 else _raise(faults[0])
    return tuple(found)


def read_image(case: BoxCase) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """(C, *S) float32 of a case, axes as they lie in its file, and millimetres per axis (1 where nothing says).

    Values are those of the file; what is no number (NaN, infinity) becomes the least number of the image.

    Raises:
        DataFileError: unreadable, another shape than when the folder was opened, or no number at all.
    """
    picture = decoded(Case(case.name, case.images), case.channels)
    if picture.shape != case.shape:
        raise DataFileError(f"{case.images[0]}: has the shape {picture.shape} now, and had {case.shape} before.")
    image = np.ascontiguousarray(np.moveaxis(picture.array, -1, 0), np.float32)
    if not (finite := np.isfinite(image)).all():
        if not finite.any():
            raise DataFileError(f"{case.images[0]}: holds no finite number. Convert it again.")
        image = np.where(finite, image, image[finite].min())
    return image, case.spacing or (1.0,) * len(case.shape)


def _from_table(file: Path, cases: Sequence[BoxCase]) -> tuple[list[BoxCase], str]:
    """The cases with the boxes of a table, and the rule.

    Raises:
        LabelError: boxes that do not fit, or volumes that are not there.
    """
    if not file.is_file():
        raise DataFileError(f"{file}: does not exist; a .csv or .json file of boxes was expected.")
    faults: list[str] = []
    table = read_table(file, faults)
    names = _names(cases)
    rows: dict[str, list[Row]] = defaultdict(list)
    for name in table.cases:
        if name not in names:
            where = next((f"{row.where}, {name}" for row in table.rows if row.case == name), name)
            faults.append(f"{where}: no volume is called so.{did_you_mean(name, names)}")
    for row in table.rows:
        rows[names.get(row.case, "")].append(row)
    known = {names[name] for name in table.cases if name in names}
    made = [_boxed(case, rows[case.name], table, faults) if case.name in known else case for case in cases]
    if faults:
        refuse(file, faults)
    if not known:
        raise DataFileError(f"{file}: names no volume; a row for each box, and one without a box for each volume "
                            "that holds none, were expected.")  # fmt: skip
    n = sum(case.boxes is not None and len(case.boxes) == 0 for case in made)
    return made, (
        f"volumes that {file.name} names are labelled ({len(known)}, {n} of them without an object), all others are "
        f"unlabelled ({len(cases) - len(known)}); boxes are {FORMS[table.form]}"
    )


def _boxed(case: BoxCase, rows: Sequence[Row], table: Table, faults: list[str]) -> BoxCase:
    """The case with the boxes of its rows; what is wrong with them is added to `faults`."""
    boxes: list[Floats] = []
    excluded: list[Floats] = []
    for row in rows:
        if row.shape and row.shape != case.shape:
            stated, shape = (" x ".join(map(str, each)) for each in (row.shape, case.shape))
            faults.append(
                f"{row.where}, {case.name}: states a volume of {stated} voxels, {case.images[0].name} has {shape}."
            )
        elif row.first is not None:
            try:
                box = box_in(row, table.form, case.shape, case.spacing, case.affine)
            except NoPlaceError as error:
                faults.append(f"{row.where}, {case.name}: {error}")
            else:
                (excluded if row.excluded else boxes).append(box)
    n = len(case.shape)
    out = np.array(excluded, np.float64).reshape(-1, 2 * n) if excluded else None
    return replace(case, boxes=np.array(boxes, np.float64).reshape(-1, 2 * n), excluded=out)


def _names(cases: Sequence[BoxCase]) -> dict[str, str]:
    """Cases by their names, and by those of their files."""
    found = {}
    for case in cases:
        for path in case.images:
            stem = stem_of(split_key(path)[0])
            found[stem] = case.name
            if match := NUMBERED.fullmatch(stem):
                found.setdefault(match["case"], case.name)
    return found | {case.name: case.name for case in cases}


def _from_masks(
    root: Path, images: Images, cases: Sequence[BoxCase], progress: Progress | None
) -> tuple[list[BoxCase], str]:
    """The cases with the boxes of their masks, and the rule.

    Raises:
        DataFileError: there are no masks.
        LabelError: masks that cannot be read or do not fit, a line each.
    """
    files = {case.name: case for case in images.cases if case.label is not None}
    if not files:
        raise DataFileError(
            f"{root}: {counted(len(cases), 'image')}, but no boxes: expected {listed(FILES, last='or')}, a file named "
            "with --boxes, or masks beside the images. `hyperseg detect train --help` shows each."
        )
    made: list[BoxCase] = []
    faults: list[str] = []
    for case in cases:
        if case.name in files:
            try:
                case = replace(case, boxes=boxes_of_masks(files[case.name], case, instances=images.instances))
            except HypersegError as error:
                faults.append(str(error).removeprefix(f"{root}/"))
            if progress is not None:
                progress(len([each for each in made if each.boxes is not None]) + 1, len(files))
        made.append(case)
    if faults:
        refuse(root, faults)
    what = "each number of a mask" if images.instances else "each connected part of a mask"
    return made, f"{what} is an object, an empty mask says that there is none, images without a mask are unlabelled"


def _raise(fault: str) -> Any:
    raise DataFileError(fault)
