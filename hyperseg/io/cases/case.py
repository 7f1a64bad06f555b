"""`Case`, `CaseFolder`, `Fault`: a data set of many images or volumes, and what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperseg.core import UNLABELLED

Severity = Literal["error", "remark"]
CT = "CT"  # the name of a channel whose values are calibrated: Hounsfield units mean the same in every image


@dataclass(frozen=True)
class Case:
    """One image or volume, with its label where there is one.

    Attributes:
        name: unique in its folder, fit for a file's name.
        images: one file per channel, or a single one that holds them all; FILE:KEY names an array in a file.
        label: the file of its classes, or None.
        group: cases of one group (a patient) never stand on two sides of a split.
        also: further masks of the same image: a pixel is foreground where any of them says so.
        spacing: millimetres per axis of the image's array, where its file does not say them but something beside it.
    """

    name: str
    images: tuple[Path, ...]
    label: Path | None = None
    group: str = ""
    also: tuple[Path, ...] = ()
    spacing: tuple[float, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is read of it."""
        return (*self.images, *(() if self.label is None else (self.label,)), *self.also)


@dataclass(frozen=True)
class Fault:
    """Something about a data set that stops training (an error), or that one should know (a remark).

    Attributes:
        file: what is wrong, as the user names it.
        found, expected, remedy: what is there, what should be, and what to do.
        severity: "error" or "remark".
        kind: a word or two, the same for faults of one sort.
    """

    file: str
    found: str
    expected: str
    remedy: str
    severity: Severity = "error"
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.found}; expected: {self.expected}. {self.remedy}"


@dataclass(frozen=True)
class CaseFolder:
    """A data set in a folder.

    Attributes:
        root: the folder.
        layout: in a few words, how it is laid out.
        cases: to learn from, each with a label, in the order of their names.
        unlabelled: to predict. Those in a folder called "test" or in a test.list may have labels, which are for scores
            alone.
        channels: names, one for each channel of an image; "CT" is a calibrated scale.
        classes: names, background first; codes: what they are in label files. Both are empty where nothing states
            them and labels have not been looked at (`list_cases`).
        rule: one sentence: how images and labels were paired, and what the groups come from.
        ignore: the code of voxels that carry no label, or None.
        instances: labels number objects; every object is of class 1.
        stated: classes and codes are those of dataset.json, not those found in label files.
        faults: what was wrong already when the folder was listed.
        spacing: millimetres per axis of all arrays whose files do not say them, where something beside them does.
        targets: what is learnt, as it was asked for, see `classes.targets`; empty for all classes.
        merged: for each class, all codes of label files that mean it; empty where a class is one code.
    """

    root: Path
    layout: str
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    channels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    rule: str = ""
    ignore: int | None = None
    instances: bool = False
    stated: bool = False
    faults: tuple[Fault, ...] = ()
    spacing: tuple[float, ...] = ()
    targets: tuple[str, ...] = ()
    merged: tuple[tuple[int, ...], ...] = ()

    @property
    def class_of(self) -> dict[int, int]:
        """The class that each code of label files means, -1 for the code that is ignored."""
        merged = self.merged or tuple((code,) for code in self.codes)
        found = {code: k for k, codes in enumerate(merged) for code in codes}
        return found if self.ignore is None else {**found, self.ignore: UNLABELLED}

    def case(self, name: str) -> Case:
        """The case of that name; `KeyError` where there is none."""
        return {case.name: case for case in (*self.cases, *self.unlabelled)}[name]
