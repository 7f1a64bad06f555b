"""Which images a folder holds, and what their headers say: shape, spacing, place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg.core import DataFileError, HypersegError
from hyperseg.core.words import counted, listed
from hyperseg.io.cases.beside.groups import grouped
from hyperseg.io.cases.beside.spacing import own_spacing, spaced
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.decathlon import FILE
from hyperseg.io.cases.decode import decode_image, in_colours, shape_of
from hyperseg.io.cases.layouts import IMAGE_FOLDERS, PREDICTED_FOLDERS, paired, plain_layout
from hyperseg.io.cases.listing import TWICE, folders_of
from hyperseg.io.cases.names import KNOWN, VOLUMES, ending_of, files_in, stem_of
from hyperseg.io.cases.nifti import nibabel_for, read_place
from hyperseg.io.cases.open import list_cases
from hyperseg.io.cases.picture import Place
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.paths import split_key

UNLABELLED_FOLDERS = ("unlabelled", "unlabeled", *PREDICTED_FOLDERS)
BODY = {letter: axis for axis, pair in enumerate(("RL", "AP", "SI")) for letter in pair}
AXES_OF_A_BODY = ("left-right", "front-back", "up-down")


@dataclass(frozen=True)
class Images:
    """Images of a folder: cases with the masks beside them, if any; held back ones are left out of `cases`."""

    cases: tuple[Case, ...]
    rule: str = ""
    instances: bool = False
    faults: tuple[str, ...] = ()


def images_in(root: Path, spacing: tuple[float, ...] = ()) -> Images:
    """The images of a folder, laid out as `io.cases` knows it, or without masks: in images/, or in the folder itself.

    Raises:
        DataFileError: no folder, or no images.
        SettingError: a spacing, and every file states its own.
    """
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataFileError(f"{root}: {what}; a folder of images was expected ({KNOWN}).")
    if (root / FILE).is_file() or plain_layout(root) is not None:
        folder = list_cases(root, spacing=spacing)
        held = [case for case in folder.unlabelled if case.label is not None]
        rule = folder.rule.rstrip(".") + (f"; {counted(len(held), 'case')} held back for tests" if held else "")
        alone = tuple(case for case in folder.unlabelled if case.label is None)
        faults = tuple(map(str, (fault for fault in folder.faults if fault.severity == "error")))
        return Images((*folder.cases, *alone), rule, folder.instances, faults)
    there = folders_of(root)
    first = [there[name] for name in IMAGE_FOLDERS if name in there and files_in(there[name])][:1] or [root]
    files = [path for folder in first for path in files_in(folder)]
    files += [path for name in UNLABELLED_FOLDERS if name in there for path in files_in(there[name])]
    if not files:
        inside = [f"{name}/" for name, inner in there.items() if files_in(inner)]
        remedy = f"There are some in {listed(inside, most=3)}: name one of these folders." if inside else "Add some."
        raise DataFileError(
            f"{root}: holds no images; images in the folder or in images/ were expected ({KNOWN}). {remedy}"
        )
    found = paired(files, (), "")
    cases, told, groups = grouped(root, found.unlabelled)
    cases, _, lengths, unspaced = spaced(root, cases, spacing)
    every = [*found.faults, *groups, *unspaced]
    return Images(
        tuple(cases), "; ".join(filter(None, (told, lengths))),
        faults=tuple(str(fault) for fault in every if fault.severity == "error" or fault.kind == TWICE),
    )  # fmt: skip


def one_image(file: Path, spacing: tuple[float, ...]) -> Images:
    """A single file, with what a spacing.csv beside it says."""
    cases, *_ = spaced(file.parent, [Case(stem_of(file), (file,), group=stem_of(file))])
    return Images(tuple(case if case.spacing else replace(case, spacing=spacing) for case in cases))


def after_headers(cases: Sequence[Case]) -> tuple[list[BoxCase], list[str], list[str]]:
    """Cases without boxes, after their headers; faults, and remarks.

    Raises:
        DataFileError: there are NIfTI files, and nibabel is not installed.
    """
    for path in (path for case in cases for path in case.images if ending_of(path) in VOLUMES):
        with nibabel_for(path):  # without it every file would be called faulty
            break
    found: list[BoxCase] = []
    faults: list[str] = []
    orientations: dict[str, str] = {}
    for case in cases:
        try:
            made, place = _of_headers(case)
        except HypersegError as error:
            faults.append(str(error))
            continue
        found.append(made)
        if place is not None and place.orientation:
            orientations[case.name] = place.orientation
    axes, channels = Counter(len(case.shape) for case in found), Counter(case.channels for case in found)
    if len(axes) > 1:
        usual = axes.most_common(1)[0][0]
        faults += [
            f"{c.images[0]}: has {len(c.shape)} axes, most have {usual}." for c in found if len(c.shape) != usual
        ]
    elif channels.keys() == {1, 3} and all(in_colours(case.images[0], len(case.shape)) for case in found):
        found = [replace(case, channels=3) for case in found]  # grey among colours
    elif len(channels) > 1:
        usual = channels.most_common(1)[0][0]
        faults += [
            f"{c.images[0]}: has {c.channels} channels, most have {usual}." for c in found if c.channels != usual
        ]
    more, remarks = _oriented(orientations)
    return found, [*faults, *more], remarks


def _of_headers(case: Case) -> tuple[BoxCase, Place | None]:
    """One case after the headers of its files.

    Raises:
        DataFileError: unreadable, or files of one case with unlike shapes.
    """
    shapes = []
    for path in case.images:
        shape = shape_of(path)
        if shape is None:
            shape = decode_image(path).array.shape  # says what is wrong
        shapes.append(tuple(int(n) for n in shape))
    for path, shape in zip(case.images, shapes, strict=True):
        if shape[:-1] != shapes[0][:-1]:
            sizes = [" x ".join(map(str, each[:-1])) for each in (shape, shapes[0])]
            raise DataFileError(f"{path}: has {sizes[0]} voxels, {case.images[0].name} has {sizes[1]}; resample.")
    first, size = case.images[0], shapes[0][:-1]
    place = read_place(first)[1] if ending_of(split_key(first)[0]) in VOLUMES else None
    spacing = (case.spacing or own_spacing(first) or ()) if place is None else place.spacing
    if spacing and len(spacing) != len(size):
        raise DataFileError(
            f"{first}: its spacing is {spacing}, its array has {len(size)} axes; a length each was expected."
        )
    affine = place.affine if place is not None and place.stated else None
    channels = sum(shape[-1] for shape in shapes)
    return BoxCase(case.name, case.images, None, tuple(spacing), size, channels, affine, group=case.group), place


def _oriented(of: dict[str, str]) -> tuple[list[str], list[str]]:
    """Faults of volumes with other axes of the body than most; a remark where some run the other way."""
    if len(set(of.values())) < 2:
        return [], []
    orders = {name: tuple(BODY[letter] for letter in letters) for name, letters in of.items()}
    usual = Counter(orders.values()).most_common(1)[0][0]
    told = ", ".join(AXES_OF_A_BODY[axis] for axis in usual)
    faults = [
        f"{name}: its axes run {of[name]}, of most volumes they are {told}; bring all into one order first (in Python: "
        "nibabel.as_closest_canonical), and their boxes with them."
        for name, order in orders.items() if order != usual
    ]  # fmt: skip
    counts = Counter(of.values())
    ways = listed(f"{letters} ({n})" for letters, n in counts.most_common())
    return faults, [f"volumes run to different sides: {ways}; arrays are taken as they lie in their files."]
