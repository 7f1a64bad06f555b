"""One case looked at: what it is like, and what is wrong with it by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, HypersegError
from hyperseg.core.words import counted, listed
from hyperseg.io.cases.case import Case, CaseFolder, Fault, Severity
from hyperseg.io.cases.decode import counted_codes, in_colours
from hyperseg.io.cases.picture import SAME_PLACE, Picture, apart, ordered, spacing_of
from hyperseg.io.cases.read import read_image, read_label, unknown_codes


@dataclass
class Look:
    """What one case is like; `shape` is None where its image cannot be read, `voxels` empty where its label cannot.

    Attributes:
        shape, spacing: of the image, as (depth, rows, columns).
        lowest: the smallest value of a volume of one channel, else 0.
        voxels: number of voxels by code of the label.
        pixels, label: checksums of the decoded values.
    """

    case: Case
    shape: tuple[int, ...] | None = None
    channels: int = 0
    spacing: tuple[float, ...] | None = None
    orientation: str = ""
    lowest: int = 0
    voxels: dict[int, int] = field(default_factory=dict)
    pixels: str = ""
    label: str = ""
    faults: list[Fault] = field(default_factory=list)


def look_at(case: Case, folder: CaseFolder) -> Look:
    """Read image and label of a case once; whatever is wrong becomes a fault, nothing is raised."""
    seen = Look(case)
    try:
        image = read_image(case)
    except HypersegError as error:
        seen.faults.append(_of_error(error, case.images, "a file that can be read", "unreadable"))
        return seen
    seen.shape, seen.channels = ordered(image.shape, image.place), image.channels
    if image.place is not None:
        seen.spacing, seen.orientation = spacing_of(image.place, len(image.shape)), image.place.orientation
        if image.channels == 1:
            seen.lowest = int(np.nan_to_num(image.array.min()))
    seen.pixels = _checksum(image.array)
    seen.faults += _of_values(image, case, folder)
    if case.label is None:
        return seen
    try:
        label = read_label(case, image)
    except HypersegError as error:
        seen.faults.append(_of_error(error, case.files, "a label on the grid of its image", "label"))
        return seen
    seen.voxels, seen.label = counted_codes(label.array), _checksum(label.array)
    seen.faults += _of_codes(seen.voxels, case, folder)
    if label.remarks:
        seen.faults.append(_converted(str(case.label), label.remarks, "one channel of class numbers"))
    if image.place is not None:
        seen.faults += _of_place(image, case)
    return seen


def _of_error(error: HypersegError, files: tuple[Path, ...], expected: str, kind: str) -> Fault:
    """The fault that a refusal tells: its file, what was found, and what to do, taken apart again."""
    text = str(error)
    file = next((str(path) for path in files if text.startswith(f"{path}: ")), str(files[0]))
    found, _, remedy = text.removeprefix(f"{file}: ").partition(". ")
    return Fault(
        file, found.rstrip("."), expected, remedy or "Make the file anew, or leave the case out.", "error", kind
    )


def _of_values(image: Picture, case: Case, folder: CaseFolder) -> Iterator[Fault]:
    """What is wrong with the values of an image."""
    file, array = str(case.images[0]), image.array
    wanted = len(folder.channels)
    grey = {image.channels, wanted} == {1, 3} and in_colours(case.images[0], array.ndim - 1)
    if image.channels != wanted and not grey:
        yield Fault(
            file, f"has {counted(image.channels, 'channel')} ({'x'.join(map(str, array.shape))})",
            counted(wanted, "channel") + (f" ({listed(folder.channels, most=6)})" if wanted > 1 else ""),
            "Take out the volume that is meant, or name the channels in a dataset.json.", "error", "channels",
        )  # fmt: skip
        return
    if grey and wanted == 1 and not (array == array[..., :1]).all():
        yield Fault(file, "is in colours", "grey, as most images here",
                    "Convert it to grey, or all to colours.", "error", "channels")  # fmt: skip
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        bad = counted(int((~finite).any(-1).sum()), "voxel")
        yield Fault(file, f"{bad} with NaN or infinity", "finite numbers",
                    "Replace them, by what air or nothing has here for example.", "error", "not finite")  # fmt: skip
    for c in range(array.shape[-1]):
        plane = array[..., c]
        if (plane == plane.flat[0]).all():
            which = f"channel {c} of {array.shape[-1]} " if array.shape[-1] > 1 else ""
            yield Fault(file, f"{which}is {plane.flat[0]:g} everywhere", "an image with contrast",
                        "Look at it; leave the case out if it is empty.", "remark", "constant")  # fmt: skip
    if image.remarks:
        yield _converted(file, image.remarks, "grey or RGB")


def _of_codes(voxels: dict[int, int], case: Case, folder: CaseFolder) -> Iterator[Fault]:
    """What is wrong with the codes of a label."""
    file = str(case.label)
    if min(voxels) < 0:
        yield _code_fault(file, f"holds the negative code {min(voxels)}", "codes from 0 on")
    elif folder.stated and (unknown := unknown_codes(list(voxels), folder)):
        found = listed(map(str, unknown), most=4)
        yield _code_fault(
            file, f"holds the code {found}", f"{listed(map(str, sorted(folder.class_of)), most=8)} of dataset.json"
        )
    known = folder.class_of or {0: 0}  # where nothing states the classes 0 is background
    if {known.get(code) for code in voxels} <= {0, UNLABELLED}:
        yield Fault(file, "is empty: all background", "some foreground",
                    "Nothing, if there is none in this image.", "remark", "empty mask")  # fmt: skip
    elif len(voxels) == 1:
        yield Fault(file, f"is {next(iter(voxels))} everywhere", "background too", "Look at it.", "remark", "full mask")


def _converted(file: str, words: Iterable[str], expected: str) -> Fault:
    return Fault(file, listed(words), expected, "Nothing, if that is meant.", "remark", "converted")


def _code_fault(file: str, found: str, expected: str, severity: Severity = "error") -> Fault:
    remedy = "Correct the label, or name the class in dataset.json."
    return Fault(file, found, expected, remedy, severity, "unknown class")


def _of_place(image: Picture, case: Case) -> Iterator[Fault]:
    """Small shifts between image and label, and labels whose place nobody states; large ones are refused before."""
    from hyperseg.io.cases.names import VOLUMES, ending_of
    from hyperseg.io.cases.nifti import read_place

    assert image.place is not None
    for path in (path for path in (case.label, *case.also) if path is not None and ending_of(path) in VOLUMES):
        _, place = read_place(path)
        if place.stated != image.place.stated:
            which = "no place, its image has one" if image.place.stated else "a place, its image has none"
            yield Fault(str(path), f"states {which}", "the same header",
                        "Nothing, if voxels belong together as they stand; they are taken so.", "remark",
                        "place")  # fmt: skip
        elif (far := apart(image.place, place, image.shape)) > SAME_PLACE:
            yield Fault(str(path), f"lies up to {far:.2g} voxels beside its image", "the same place",
                        "Nothing: voxels are taken to belong together as they stand.", "remark", "place")  # fmt: skip


def _checksum(array: NDArray[Any]) -> str:
    """Of the values and their shape, whatever order they have in memory."""
    made = hashlib.blake2b(f"{array.shape} {array.dtype.kind}".encode(), digest_size=16)
    plain = np.ascontiguousarray(array.T if array.flags.f_contiguous else array)
    made.update(b"T" if array.flags.f_contiguous and not array.flags.c_contiguous else b"")
    made.update(plain.data)
    return made.hexdigest()
