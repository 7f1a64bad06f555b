"""A folder for every case, in which files are called by what they hold: P1/P1_flair.nii.gz, P1/P1_seg.nii.gz."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from hyperseg.core.words import counted, listed
from hyperseg.io.cases.case import CT, Case, Fault
from hyperseg.io.cases.listing import Listing, folders_of, missing_channels, name_twice
from hyperseg.io.cases.names import LABEL_WORDS, PACKED, ending_of, files_in, stem_of

TRUTH = re.compile(rf"(?:.*[ _.\-])?(?:{LABEL_WORDS}|truth|ot|otmulticlass)", re.IGNORECASE)
INSIDE = re.compile(r"(?:.*[ _.\-])?(?:brain[_\-]?mask|body[_\-]?mask|roi)", re.IGNORECASE)  # neither image nor label
MOST_FILES = 12


def case_folders(root: Path) -> Listing | None:
    """The listing of a folder of such folders; None where they hold no files of the same names, one of them a label."""
    of: dict[str, dict[str, Path]] = {}
    faults: list[Fault] = []
    for folder in folders_of(root).values():
        paths = [path for path in files_in(folder) if ending_of(path) not in PACKED]
        if len(paths) > MOST_FILES:
            return None
        if paths:
            files = of.setdefault(folder.name, {})
            for path in paths:
                if (first := files.setdefault(_role(path, folder.name), path)) is not path:
                    faults.append(name_twice(path, first))
    roles = Counter(role for files in of.values() for role in files)
    often = sorted(role for role, n in roles.items() if 2 * n > len(of))
    inside = [role for role in often if INSIDE.fullmatch(role)]
    labels = [role for role in often if role not in inside and TRUTH.fullmatch(role)]
    channels = tuple(role for role in often if role not in (*inside, *labels))
    if len(labels) != 1 or not channels:
        return None
    cases: list[Case] = []
    alone: list[Case] = []
    for name, files in of.items():
        if absent := [role for role in channels if role not in files]:
            faults.append(missing_channels(name, next(iter(files.values())), absent))
            continue
        label = files.get(labels[0])
        case = Case(name, tuple(files[role] for role in channels), label)
        (alone if label is None else cases).append(case)
    told = [f"a folder for each of {counted(len(cases), 'case')}, with {listed(channels)} and the label {labels[0]}"]
    if inside:
        told.append(f"{listed(inside)} is not read")
    names = tuple(CT if role == CT.lower() else role for role in channels)
    return Listing("a folder for every case", tuple(cases), tuple(alone), names, tuple(told), faults=tuple(faults))


def _role(path: Path, folder: str) -> str:
    """What a file holds: its name without that of its folder, in lower case."""
    return stem_of(path).removeprefix(folder).lstrip("_-. ").lower() or stem_of(path).lower()
