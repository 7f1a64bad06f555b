"""Which classes of two label rasters are the same: by name, or by the codes in the files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError
from hyperseg.core.words import clean_name, some
from hyperseg.io.formats import check_file
from hyperseg.io.labels.background import is_nothing
from hyperseg.io.labels.points import TABLES
from hyperseg.io.labels.qml import read_qml
from hyperseg.io.labels.raster import Labels
from hyperseg.io.open import named_card
from hyperseg.io.read import open_array
from hyperseg.io.small_tables import decoded
from hyperseg.recipes.run.map_file import map_of

UNNAMED = re.compile(r"class (\d+)")
MatchedBy = Literal["name", "code"]


def class_names(source: str | Path) -> Mapping[int, str]:
    """Class names by file code: of a public scene, a raster or run that carries them, a .qml or a table (.csv).

    Raises:
        DataFileError: it cannot be read.
        LabelError: it carries no names.
    """
    place = map_of(source)
    suffix = Path(place).suffix.lower()
    if suffix in TABLES:
        names = _of_table(Path(place))
    elif suffix == ".qml":
        check_file(Path(place))
        names, _ = read_qml(Path(place)).by_code()
    else:
        card = named_card(place)
        names = {e.code: e.name for e in card.classes} if card else dict(open_array(place, ndim=2).names)
    found = {code: name for code, text in names.items() if (name := clean_name(text)) and not is_nothing(name)}
    if not found:
        raise LabelError(
            f"{source}: carries no class names. Give a table with a line for every code (1,corn), a raster with "
            "categories (a .aux.xml beside it), an ENVI classification, a .qml, or a public scene such as indian-pines."
        )
    return found


def _of_table(path: Path) -> dict[int, str]:
    """Names by code from lines "code, name"; a line that does not begin with a number is a heading."""
    check_file(path)
    lines = decoded(path.read_bytes()).splitlines()
    rows = (re.match(r"\s*\"?(\d{1,9})\"?\s*[,;\t:|= ]\s*(.*)", line) for line in lines)
    found: dict[int, str] = {}
    for code, name in ((int(row[1]), row[2].strip().strip('"')) for row in rows if row):
        if found.setdefault(code, name) != name:
            raise LabelError(f"{path}: names the code {code} twice, {found[code]} and {name}. Correct the table.")
    return found


def named(labels: Labels, names: Mapping[int, str]) -> Labels:
    """Labels with names for the classes that have none."""
    found = (names.get(int(m[1]), c) if (m := UNNAMED.fullmatch(c)) else c for c in labels.classes)
    return replace(labels, classes=tuple(found))


def has_names(labels: Labels) -> bool:
    """Whether any class has a name other than its code."""
    return not all(UNNAMED.fullmatch(c) for c in labels.classes)


def with_own_codes(labels: Labels) -> Labels:
    """Labels whose classes are told in words with the codes that stand beside these, where there are any."""
    return labels if labels.beside is None else replace(labels, file_codes=labels.beside, beside=None, numbered=False)


def matched(truth: Labels, guess: Labels, truth_file: str | Path, map_file: str | Path) -> MatchedBy:
    """By what the classes of a ground truth and a map are matched: names where both have them, else codes.

    Raises:
        LabelError: one has names and no codes of its own, the other codes and no names: nobody knows which is which.
    """
    if has_names(guess) and has_names(truth):
        return "name"
    for one, its, other, others in ((truth, truth_file, guess, map_file), (guess, map_file, truth, truth_file)):
        if has_names(one) and one.numbered and not has_names(other):
            raise LabelError(
                f"{its} has names of classes, and its codes only number them: {in_words(one)}. {others} has codes "
                f"without names: {', '.join(map(str, other.file_codes[:20]))}. Which is which is not known: name the "
                "codes with --classes-from FILE (a table with lines like 1,corn; a raster, .qml or public scene that "
                "has both)."
            )
    return "code"


def class_keys(truth: Labels, guess: Labels, by: MatchedBy) -> tuple[list[str], list[str]]:
    """Keys of the classes of both; classes of equal keys are the same class.

    Names are compared without regard to case, blanks and signs; the last two count where two of a file differ in them.

    Raises:
        LabelError: two classes of one file have the same name.
    """
    match by:
        case "name":
            for plain in (_letters, str.casefold):
                ours, theirs = ([plain(name) for name in labels.classes] for labels in (truth, guess))
                if len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs):
                    break
        case "code":
            ours, theirs = _by_code(truth), _by_code(guess)
        case _:
            raise ValueError(f"classes are matched by name or by code, not by {by!r}.")
    for labels, keys in ((truth, ours), (guess, theirs)):
        if twice := [labels.classes[keys.index(key)] for key, n in Counter(keys).items() if n > 1]:
            raise LabelError(f"several classes are called {', '.join(twice)}: rename them, then score again.")
    return ours, theirs


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name


def _by_code(labels: Labels) -> list[str]:
    # a map made from unnamed labels of codes it cannot keep calls its classes after these, and numbers them anew
    unnamed = [UNNAMED.fullmatch(name) for name in labels.classes]
    return [m[1] if m else str(c) for m, c in zip(unnamed, labels.file_codes, strict=True)]


def translated(codes: NDArray[np.int16], places: Sequence[int]) -> NDArray[np.int16]:
    """Codes 0..K-1 through the table `places`; -1 stays."""
    return np.array([*places, UNLABELLED], np.int16)[codes]


def in_words(labels: Labels) -> str:
    """Classes with codes, for messages."""
    return some([f"{name} ({code})" for name, code in zip(labels.classes, labels.file_codes, strict=True)], 20)
