"""Codes of classes in files. In memory classes are 0..K-1; a file keeps the codes that its reader knows them by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import LabelError

BYTE = 255  # the largest code of a label file that is kept


def codes_of(n_classes: int, codes: Sequence[int] | None) -> tuple[int, ...]:
    """The K codes of a file; 1..K where none are given.

    Raises:
        LabelError: another number of codes than of classes, one twice, or one that no file of codes can hold.
    """
    found = tuple(range(1, n_classes + 1)) if codes is None else tuple(int(c) for c in codes)
    if len(found) != n_classes or len(set(found)) != n_classes or not all(0 <= c < 2**16 for c in found):
        raise LabelError(
            f"codes of classes are whole numbers from 0 to 65535, one for each of {n_classes} classes and none twice; "
            f"got {', '.join(map(str, found[:20]))}."
        )
    return found


def empty_code(codes: Sequence[int]) -> int:
    """The code of pixels without a class: 0, or where 0 is a class 255, or else the largest of a byte that is free."""
    taken = set(codes)
    return 0 if 0 not in taken else next(c for c in (*range(BYTE, 0, -1), 2**16 - 1) if c not in taken)


def code_table(codes: Sequence[int]) -> NDArray[np.uint16]:
    """(K + 1) codes by class 0..K-1; -1 (no class) reads the last one."""
    return np.array([*codes, empty_code(codes)], np.uint16)


def code_type(codes: Sequence[int]) -> str:
    """The smallest type of whole numbers that holds the codes, and that of no class."""
    return "uint8" if int(code_table(codes).max()) <= BYTE else "uint16"
