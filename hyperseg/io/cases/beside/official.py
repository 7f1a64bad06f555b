"""A split that is published with a data set: lists of names beside it say which cases are for scores alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hyperseg.core.words import counted, some
from hyperseg.io.cases.beside.table import in_capitals, rows_of, without_ending
from hyperseg.io.cases.case import Case, Fault

ENDS = (".list", ".txt", ".csv")
TEST = ("test", "testing")
OTHERS = ("train", "training", "val", "valid", "validation")


def held_back(root: Path, cases: Sequence[Case]) -> tuple[list[Case], list[Case], str, list[Fault]]:
    """Cases to learn from, and those that test.list names: they are never learnt from.

    A validation list changes nothing: cross-validation takes its place.

    Returns:
        cases to learn from, cases held back, the rule in words, and faults.

    Raises:
        DataFileError: a list that cannot be read.
    """
    file = _list_of(root, TEST)
    if file is None:
        return list(cases), [], "", []
    names = _names(file)
    there = {case.name for case in cases}
    test = [case for case in cases if case.name in names]
    learn = [case for case in cases if case.name not in names]
    faults = [*_of_test(file, names, there, test, learn)]
    if not test:
        return learn, test, "", faults
    told = f"{file.name} holds {counted(len(test), 'case')} back for scores"
    for group in (("train", "training"), ("val", "valid", "validation")):
        if (other := _list_of(root, group)) is None:
            continue
        listed = _names(other)
        told += f", {sum(case.name in listed for case in learn)} of {len(listed)} in {other.name} are learnt from"
        if twice := sorted(listed & names & there):
            faults.append(
                Fault(str(other), f"names {some(twice, 3)}, as {file.name} does", "each case on one side",
                      "Correct the lists; it is held back until then.", "remark", "official split")
            )  # fmt: skip
    return learn, test, told, faults


def _of_test(
    file: Path, names: set[str], there: set[str], test: Sequence[Case], learn: Sequence[Case]
) -> list[Fault]:  # fmt: skip
    faults = []
    if not test:
        hint = next((f" ({name} is {own} here)" for name in sorted(names) if (own := in_capitals(name, there))), "")
        faults.append(
            Fault(str(file), f"names no case of this folder ({some(sorted(names), 2)})", "names of cases",
                  f"Correct the names{hint}, or move the list away.", "remark", "official split")
        )  # fmt: skip
    if test and not learn:
        faults.append(
            Fault(str(file), "names every case that is here, so that none is left to learn from",
                  "some cases to learn from", "Add cases, or move the list away.", "error", "official split")
        )  # fmt: skip
    if leaking := sorted({case.group for case in test} & {case.group for case in learn}):
        faults.append(
            Fault(str(file), f"{some(leaking, 3)} has cases in the list and others to learn from",
                  "all cases of a patient on one side", "Correct the list: scores are too good else.", "remark",
                  "official split")
        )  # fmt: skip
    return faults


def _list_of(root: Path, words: Sequence[str]) -> Path | None:
    return next((file for word in words for end in ENDS if (file := root / f"{word}{end}").is_file()), None)


def _names(file: Path) -> set[str]:
    """First cells of the lines: a name, a file or a path."""
    return {
        without_ending(cells[0].replace("\\", "/").rpartition("/")[2])
        for _, cells in rows_of(file, "name", spaces=False)
    }
