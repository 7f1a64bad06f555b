"""Targets: the classes that are learnt, alone or several as one, with all others as background."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hyperseg.core import SettingError
from hyperseg.core.words import clean_name, counted, listed
from hyperseg.io.cases.case import CaseFolder

ALL, ALL_NAME = "all", "foreground"  # every class but the background as one, and what that one is called
JOINS, NAMES = "+", "="


def with_targets(folder: CaseFolder) -> CaseFolder:
    """The folder with its targets for classes, where it has any and its classes are known.

    A target is a class by its name or code ("cup", "2"), several as one ("rim+cup"), or "all" but the background, and
    may be given a name ("disc=1+2"). Its code in predictions is that of the class, of several the first one's; what
    is in no target is background.

    Raises:
        SettingError: a class that is not there or is the background, a class in two targets, or one name for two.
    """
    if not folder.targets or not folder.classes:
        return folder
    named = [_read(folder, target) for target in folder.targets]
    names, groups = ("background", *(name for name, _ in named)), [classes for _, classes in named]
    learnt = [k for classes in groups for k in classes]
    stand = (Counter(names), Counter(folder.classes[k] for k in learnt))
    if twice := [name for counts in stand for name, n in counts.items() if n > 1]:
        raise SettingError(
            f"--target {' --target '.join(folder.targets)}: {twice[0]} stands for two classes; a pixel is of one, and "
            "every class has a name of its own."
        )
    rest = tuple(k for k in range(len(folder.classes)) if k not in learnt)
    merged = tuple(tuple(code for code, k in folder.class_of.items() if k in part) for part in (rest, *groups))
    codes = tuple(folder.codes[part[0]] for part in (rest, *groups))
    told = listed(f"{name} (code {code} in predictions)" for name, code in zip(names[1:], codes[1:], strict=True))
    more = f" with {counted(len(rest) - 1, 'other class', 'other classes')} in it" if len(rest) > 1 else ""
    return replace(
        folder, classes=names, codes=codes, merged=merged, rule=f"{folder.rule} To learn: {told}, and background{more}."
    )


def _read(folder: CaseFolder, target: str) -> tuple[str, tuple[int, ...]]:
    """The name of a target, and the classes that it stands for, in their order."""
    there = range(1, len(folder.classes))  # without the background
    known = {str(folder.codes[k]): k for k in there} | {folder.classes[k]: k for k in there}
    name, _, asked = ("", "", target) if target in known else target.rpartition(NAMES)
    if asked == ALL and ALL not in known:
        return clean_name(name) or ALL_NAME, tuple(there)
    words = [asked] if asked in known else asked.split(JOINS)
    if missing := [word for word in words if word not in known]:
        told = listed((f"{folder.classes[k]} (code {folder.codes[k]})" for k in there), most=8)
        raise SettingError(
            f"--target {target}: {folder.root} has no class {missing[0]!r} to learn; it has {told}. Name one, by "
            f"name or code, several as one (1{JOINS}2), or {ALL}; NAME{NAMES}CODE gives it another name."
        )
    classes = tuple(sorted({known[word] for word in words}))
    return clean_name(name) or JOINS.join(folder.classes[k] for k in classes), classes
