"""Which cases belong together (one patient): a groups file beside the data, else the names where they show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.words import counted, some
from hyperseg.io.cases.beside.table import in_capitals, rows_of
from hyperseg.io.cases.case import Case, Fault

FILES = ("groups.csv", "groups.txt")
PATIENT = r"(?:patients?|pat|pt|subjects?|subj|sub|case|person|donor|volunteer)[_\-]?[A-Za-z]*\d+"
REPEAT = (
    r"(?:frame|slice|scan|visit|view|session|ses|series|time|timepoint|tp|day|week|month|img|image|eye|left|right|"
    r"od|os|ed|es|pre|post)"
)
OF_PATIENT = re.compile(rf"(?P<who>{PATIENT})[_\-. ].+", re.IGNORECASE)
REPEATED = re.compile(rf"(?P<who>.*\d)[_\-. ]{REPEAT}[_\-]?\d*", re.IGNORECASE)


def grouped(root: Path, cases: Sequence[Case]) -> tuple[list[Case], str, list[Fault]]:
    """The cases with their groups, what these come from in words, and what is wrong with the groups file.

    Names show patients where they all begin with one (patient001_frame01), or all end in a word for a repeat
    (ab12_slice3), and some patient has several cases. Otherwise every case is its own group.

    Raises:
        DataFileError: a groups file that is no table of two columns.
    """
    file = next((root / name for name in FILES if (root / name).is_file()), None)
    if file is not None:
        return _from_file(file, cases)
    for pattern in (OF_PATIENT, REPEATED):
        found = [pattern.fullmatch(case.name) for case in cases]
        who = [match["who"] for match in found if match]
        if len(who) == len(cases) and 1 < len(set(who)) < len(who):
            told = f"{counted(len(set(who)), 'group')} from the beginning of names ({who[0]})"
            return [replace(case, group=name) for case, name in zip(cases, who, strict=True)], told, []
    told = "every case is its own group (no groups.csv, and names show no patients)"
    return [replace(case, group=case.name) for case in cases], told, []


def _from_file(file: Path, cases: Sequence[Case]) -> tuple[list[Case], str, list[Fault]]:
    of = _read(file)
    absent = [case.name for case in cases if case.name not in of]
    unknown = sorted(of.keys() - {case.name for case in cases})
    faults = []
    if absent:
        faults.append(
            Fault(
                str(file), f"no line for {counted(len(absent), 'case')} ({some(absent, 3)})", "a line name,group each",
                "Add the lines; a case that stands alone has its own name for a group.", "error", "no group",
            )
        )  # fmt: skip
    if unknown:
        hint = next((f" ({name} is {own} here)" for name in unknown if (own := in_capitals(name, absent))), "")
        faults.append(
            Fault(
                str(file), f"names {counted(len(unknown), 'case')} that the folder does not have ({some(unknown, 3)})",
                "names of cases, without the format", f"Correct the names{hint} or leave the lines out.", "remark",
                "groups",
            )
        )  # fmt: skip
    found = [replace(case, group=of.get(case.name, case.name)) for case in cases]
    return found, f"{counted(len({case.group for case in found}), 'group')} from {file.name}", faults


def _read(file: Path) -> dict[str, str]:
    """Groups by case, from lines name,group."""
    of: dict[str, str] = {}
    for number, cells in rows_of(file, "name,group"):
        if len(cells) != 2:
            raise DataFileError(f"{file}: line {number} has {len(cells)} columns; two were expected: name,group.")
        name, group = cells
        if of.setdefault(name, group) != group:
            raise DataFileError(f"{file}: {name} stands in two groups, {of[name]} and {group}. Leave one out.")
    return of
