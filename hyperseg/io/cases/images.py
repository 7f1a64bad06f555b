"""Images to predict, and which file of a case is which channel of the run that predicts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.words import some
from hyperseg.io.cases.beside.spacing import says_itself, spaced
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.decathlon import FILE
from hyperseg.io.cases.layouts import paired, plain_layout
from hyperseg.io.cases.listing import TWICE, folders_of
from hyperseg.io.cases.names import KNOWN, by_channel, files_in, stem_of
from hyperseg.io.cases.open import list_cases


def list_images(
    path: str | Path, *, spacing: tuple[float, ...] = (), channels: Sequence[str] = ()
) -> tuple[Case, ...]:  # fmt: skip
    """Images to predict: a file, a folder of images (channels by the ends of names), or a data set's own.

    Of a data set those without a label are meant, and all of them where each has one. A spacing.csv beside them is
    read, as in `list_cases`.

    Args:
        path: what to predict.
        spacing: millimetres per axis where neither a file nor anything beside it says: what a run remembers.
        channels: names that a run knows, in its order; files of a case are brought into it, see `in_order`.

    Raises:
        DataFileError: no such file, no image in the folder, two files of one name, or channels of an image that are
            missing or not those of the run.
    """
    place = Path(path)
    if not place.exists():
        raise DataFileError(f"{place}: does not exist; an image or a folder of images was expected ({KNOWN}).")
    if not place.is_dir():
        return _known(place.parent, (Case(stem_of(place), (place,), group=stem_of(place)),), spacing)
    if (place / FILE).is_file() or plain_layout(place) is not None:
        folder = list_cases(place)
        if twice := [fault for fault in folder.faults if fault.kind == TWICE]:
            raise DataFileError(str(twice[0]))
        cases, named, stated = folder.unlabelled or folder.cases, folder.channels, folder.stated
    else:
        if not (files := files_in(place)):
            inside = [f"{name}/" for name, inner in folders_of(place).items() if files_in(inner)]
            remedy = f"There are some in {some(inside, 3)}: name one of these folders." if inside else "Add some."
            raise DataFileError(
                f"{place}: holds no images; images in the folder itself were expected ({KNOWN}). {remedy}"
            )
        found = paired(files, (), "")
        if found.faults:
            raise DataFileError(str(found.faults[0]))
        cases, named, stated = found.unlabelled, found.channels, False
        cases = tuple(replace(case, group=case.name) for case in cases)
    return _known(place, tuple(in_order(case, channels, named, stated=stated) for case in cases), spacing)


def in_order(case: Case, channels: Sequence[str], named: Sequence[str] = (), *, stated: bool = False) -> Case:
    """The case with a file for each channel in the order of a run.

    Words at the ends of names (_flair) are the names of the run's channels, capitals aside, and may come in any order.
    Numbers (_0000) count the run's channels.

    Args:
        case: as it was listed; with one file it stays as it is.
        channels: of the run; empty leaves the order.
        named: what the files are where their names do not say.
        stated: `named` is the word of a dataset.json, which goes before the names of files.

    Raises:
        DataFileError: words that are not the run's channels.
    """
    if len(case.images) < 2 or not channels:
        return case
    of, apart, _ = by_channel(case.images)
    words = {path: word for files in of.values() for word, path in files.items()}
    found = named if stated or not apart else [words[path] for path in case.images]
    here, there = ([name.casefold() for name in names] for names in (found, channels))
    if here == there or all(name.isdigit() for name in here) or (stated and all(name.isdigit() for name in there)):
        return case
    if sorted(here) != sorted(there) or len(set(here)) < len(here):
        raise DataFileError(
            f"{case.images[0]}: {case.name} has the channels {', '.join(found)}; the run was trained on "
            f"{', '.join(channels)}. Files are called by these names in any order, or by numbers in this order: "
            f"{told_numbers(channels)}."
        )
    return replace(case, images=tuple(case.images[here.index(name)] for name in there))


def told_numbers(channels: Sequence[str]) -> str:
    """Which number at the end of a file's name stands for which channel."""
    return ", ".join(f"{n:04d} = {name}" for n, name in enumerate(channels))


def _known(root: Path, cases: tuple[Case, ...], spacing: tuple[float, ...]) -> tuple[Case, ...]:
    """The cases, each with what is beside it or else the spacing of the run."""
    found, *_ = spaced(root, cases)
    return tuple(case if case.spacing or says_itself(case) else replace(case, spacing=spacing) for case in found)
