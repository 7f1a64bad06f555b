"""Classes of a folder that states none: the codes that occur in its label files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hyperseg.core.words import counted, listed
from hyperseg.io.cases.case import CaseFolder
from hyperseg.io.cases.classes.targets import with_targets

FULL = 255  # what pictures of masks have for "yes"
MOST_CLASSES = 64  # distinct codes of a folder that states none
MASKS = (0, 1), (0, FULL)  # codes of the same two classes


def with_codes(folder: CaseFolder, found: Iterable[Iterable[int]]) -> CaseFolder:
    """The folder with the codes of its label files, of each file by itself, as its classes; the lowest is background.

    Where some masks are 0 and 1, others 0 and 255, both mean the same. The folder's targets are classes then.

    Raises:
        SettingError: a target that is no class, see `with_targets`.
    """
    files = [set(codes) for codes in found]
    every = set().union(*files)
    mixed = two_spellings(files)
    codes = tuple(sorted(code for code in every if 0 <= code < 2**16 and not (mixed and code == FULL)))
    if len(codes) == 2 and codes[0] == 0:
        names: tuple[str, ...] = ("background", "foreground")
    else:
        names = tuple("background" if code == 0 else f"class {code}" for code in codes)
    told = " Foreground is 1 in some label files, 255 in others." if mixed else ""
    if codes != tuple(range(len(codes))):
        told = f" Codes {listed(map(str, codes), most=8)} of label files are the classes 0 to {len(codes) - 1}."
    merged = ((0,), (1, FULL)) if codes in MASKS else ()
    return with_targets(replace(folder, classes=names, codes=codes, merged=merged, rule=folder.rule + told))


def two_spellings(files: Iterable[set[int]]) -> bool:
    """Whether some masks say 1 and others 255 for the only class there is."""
    every = set().union(*(files := list(files)))
    return every == {0, 1, FULL} and not any({1, FULL} <= codes for codes in files)


def too_many(file: Path, n: int) -> str:
    """One line for labels of more codes than classes can be."""
    return (
        f"{file}: with it labels hold {counted(n, 'distinct code')}, at most {MOST_CLASSES} classes were expected. "
        "Where labels number objects (nuclei, say), call the folder of labels instances/ or the files X_inst.png: all "
        "objects are one class then. Where edges were smoothed, save masks without smoothing."
    )
