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
from hyperseg.core.words import some
from hyperseg.io.labels.raster import Labels
from hyperseg.io.open import named_card
from hyperseg.io.read import open_array

UNNAMED = re.compile(r"class (\d+)")
MatchedBy = Literal["name", "code"]


def class_names(source: str | Path) -> Mapping[int, str]:
    """Class names by file code, from a public scene or from a raster that carries them."""
    card = named_card(source)
    names = {e.code: e.name for e in card.classes} if card else dict(open_array(source, ndim=2).names)
    if not names:
        raise LabelError(
            f"{source}: carries no class names. Give a raster with categories (a .aux.xml beside it), an "
            "ENVI classification, or a public scene such as indian-pines."
        )
    return names


def named(labels: Labels, names: Mapping[int, str]) -> Labels:
    """Labels with names for the classes that have none."""
    found = (names.get(int(m[1]), c) if (m := UNNAMED.fullmatch(c)) else c for c in labels.classes)
    return replace(labels, classes=tuple(found))


def has_names(labels: Labels) -> bool:
    """Whether any class has a name other than its code."""
    return not all(UNNAMED.fullmatch(c) for c in labels.classes)


def class_keys(labels: Labels, by: MatchedBy) -> list[str]:
    """One key per class; classes of equal keys are the same class.

    Raises:
        LabelError: two classes of one file have the same name.
    """
    match by:
        case "name":
            keys = ["".join(filter(str.isalnum, name.casefold())) or name for name in labels.classes]
        case "code":
            # a map made from unnamed labels calls its classes after *their* codes, and numbers them anew
            unnamed = [UNNAMED.fullmatch(name) for name in labels.classes]
            keys = [m[1] if m else str(c) for m, c in zip(unnamed, labels.file_codes, strict=True)]
        case _:
            raise ValueError(f"classes are matched by name or by code, not by {by!r}.")
    twice = [labels.classes[keys.index(key)] for key, n in Counter(keys).items() if n > 1]
    if twice:
        raise LabelError(f"several classes are called {', '.join(twice)}: rename them, then score again.")
    return keys


def translated(codes: NDArray[np.int16], places: Sequence[int]) -> NDArray[np.int16]:
    """Codes 0..K-1 through the table `places`; -1 stays."""
    return np.array([*places, UNLABELLED], np.int16)[codes]


def in_words(labels: Labels) -> str:
    """Classes with codes, for messages."""
    return some([f"{name} ({code})" for name, code in zip(labels.classes, labels.file_codes, strict=True)], 20)
