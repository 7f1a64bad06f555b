"""A folder of images or volumes as a `CaseFolder`: how it is laid out, which files belong together, which classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import counted
from hyperseg.io.cases.beside.groups import grouped
from hyperseg.io.cases.beside.official import held_back
from hyperseg.io.cases.beside.spacing import spaced
from hyperseg.io.cases.case import Case, CaseFolder, Fault
from hyperseg.io.cases.classes.codes import MOST_CLASSES, too_many, with_codes
from hyperseg.io.cases.classes.targets import with_targets
from hyperseg.io.cases.decathlon import FILE, described
from hyperseg.io.cases.decode import counted_codes, decode_label, in_colours, shape_of
from hyperseg.io.cases.layouts import IMAGE_FOLDERS, plain_layout, unlike_shapes
from hyperseg.io.cases.listing import TWICE, folders_of
from hyperseg.io.cases.names import KNOWN, files_in

COLOURS = ("red", "green", "blue")
TEACHES = (
    "Expected a dataset.json (Medical Segmentation Decathlon, nnU-Net), folders images/ and labels/ with files of the "
    "same names, pairs X.png and X_mask.png in one folder, or a folder for every case; formats "
    f"{KNOWN}. `hyperseg segment --help` shows each."
)
Progress = Callable[[int, int], None]


def open_cases(
    path: str | Path, *, spacing: tuple[float, ...] = (), target: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> CaseFolder:  # fmt: skip
    """The data set in a folder, ready for `read_case`.

    Where no dataset.json states the classes, all label files are read: the codes that occur are the classes, in
    ascending order. Images are not looked at, see `check_cases`.

    Args:
        path: the folder.
        spacing: millimetres per axis of arrays and pictures whose files do not say them, see `beside.spacing.spaced`.
        target: what to learn, a target or several, see `with_targets`; all classes where it is left out.
        progress: told how many label files of how many have been read.

    Raises:
        DataFileError: no folder, one that is not laid out in any known way, or a label file that cannot be read.
        LabelError: labels that are no classes: colours, fractions, too many codes.
        SettingError: a spacing, and every file states its own; a target that is no class.
    """
    folder = list_cases(path, spacing=spacing, target=target)
    if folder.codes:
        return folder
    found: list[set[int]] = []
    files = [file for case in folder.cases for file in (case.label, *case.also) if file is not None]
    for done, file in enumerate(files, start=1):
        found.append(set(counted_codes(decode_label(file).array)))
        if (n := len(set().union(*found))) > MOST_CLASSES:
            raise LabelError(too_many(file, n))
        if progress is not None:
            progress(done, len(files))
    return with_codes(folder, found)


def list_cases(
    path: str | Path, *, spacing: tuple[float, ...] = (), target: str | Sequence[str] = ()
) -> CaseFolder:  # fmt: skip
    """As `open_cases` without reading labels: classes and codes stay empty where nothing states them."""
    root = Path(path)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise DataFileError(f"{root}: {what}; a folder of images and labels was expected. {TEACHES}")
    if (root / FILE).is_file():
        folder = described(root)
    else:
        plain = plain_layout(root)
        if plain is None:
            raise DataFileError(f"{root}: {_what_is_there(root)} {TEACHES}")
        folder = CaseFolder(
            root, plain.layout, plain.cases, plain.unlabelled, plain.channels, rule="; ".join(plain.told),
            instances=plain.instances, faults=plain.faults,
        )  # fmt: skip
        if plain.instances:
            folder = replace(
                folder, classes=("background", "object"), codes=(0, 1),
                rule=f"{folder.rule}; labels number objects, all of class 1",
            )  # fmt: skip
    cases, told, faults = grouped(root, folder.cases)
    cases, test, split, more = held_back(root, cases)
    alone = [replace(case, group=case.group or case.name) for case in (*folder.unlabelled, *test)]
    every, common, lengths, unspaced = spaced(root, (*cases, *alone), spacing)
    found = replace(
        folder,
        cases=tuple(every[: len(cases)]),
        unlabelled=tuple(sorted(every[len(cases) :], key=lambda case: case.name)),
        channels=folder.channels or _channels(folder),
        rule=f"{'; '.join(filter(None, (folder.rule, told, split, lengths)))}.",
        faults=(*folder.faults, *_twice(every), *faults, *more, *unspaced),
        spacing=common,
        targets=(target,) if isinstance(target, str) else tuple(target),
    )
    return with_targets(found)


def _what_is_there(root: Path) -> str:
    """What a folder that is no data set holds, in a sentence."""
    for folder in (root, *(path for name, path in sorted(folders_of(root).items()) if name in IMAGE_FOLDERS)):
        if files := files_in(folder):
            return (
                unlike_shapes(files)
                or f"{counted(len(files), 'image')} in {folder.name}/, but no labels were found beside them."
            )
    return "no images with labels were found."


def _channels(folder: CaseFolder) -> tuple[str, ...]:
    """Names for the channels of an image, after what most headers say."""
    files = [case.images[0] for case in folder.cases if len(case.images) == 1]
    shapes = [(file, shape) for file in files if (shape := shape_of(file)) is not None]
    counts = Counter(shape[-1] for _, shape in shapes)
    colours = all(in_colours(file, len(shape) - 1) for file, shape in shapes)
    n = counts.most_common(1)[0][0] if counts else 1
    if colours and set(counts) == {1, 3}:  # grey among colours
        n = 3
    return COLOURS if n == 3 and colours else ("image",) if n == 1 else tuple(f"channel {i}" for i in range(n))


def _twice(cases: Iterable[Case]) -> list[Fault]:
    """A fault for each name that two cases share: one prediction would overwrite the other."""
    seen: dict[str, Case] = {}
    faults = []
    for case in cases:
        other = seen.setdefault(case.name, case)
        if other is not case:
            faults.append(
                Fault(
                    str(case.images[0]), f"is a case {case.name}, as {other.images[0]} is", "names that differ",
                    "Rename one of them.", "error", TWICE,
                )
            )  # fmt: skip
    small: dict[str, str] = {}
    for name, case in seen.items():
        if (like := small.setdefault(name.lower(), name)) != name:
            faults.append(
                Fault(
                    str(case.images[0]), f"is a case {name}, beside a case {like}",
                    "names that differ in more than capitals",
                    "Rename one of them: on Windows and macOS their predictions are one file.", "remark", "capitals",
                )
            )  # fmt: skip
    return faults
