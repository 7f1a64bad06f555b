"""Names of classes that say a side: which two are mirror images of each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
OTHER = {"left": "right", "right": "left"}


def mirrored_pair(classes: Sequence[str]) -> tuple[str, str] | None:
    """The first two classes whose names have the same words, in any order, but the other side; None where none are.

    A side is one of the words left, right, L and R. Words end at what is no letter and before a capital within a word:
    "left kidney" and "kidney_R", "leftKidney" and "right-kidney" are pairs; "cleft" and "LV" name no side.

    A class with a side and no counterpart among the classes, as "left atrium" alone, makes no pair: its mirror image
    has the look of no other class, so that no pixel gets the name of the wrong side. What the other side would be is
    background, and whether it looks alike a name does not tell; nnU-Net mirrors such tasks too.
    """
    seen: dict[tuple[str, ...], str] = {}
    for name in classes:
        words = [SIDES.get(word, word) for word in words_of(name)]
        other = seen.get(_key(OTHER.get(word, word) for word in words))
        if other is not None:
            return other, name
        if not OTHER.keys().isdisjoint(words):
            seen[_key(words)] = name
    return None


def words_of(name: str) -> list[str]:
    """The words of a name in small letters: "leftKidney_2" and "Left kidney 2" both give left, kidney and 2."""
    found: list[str] = []
    for part in re.findall(r"[^\W\d_]+|\d+", name):
        start = 0
        for i in range(1, len(part)):
            begins = part[i].isupper() and (part[i - 1].islower() or part[i + 1 : i + 2].islower())
            if begins:  # "leftKidney", and the K of "LKidney"
                found.append(part[start:i].lower())
                start = i
        found.append(part[start:].lower())
    return found


def _key(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(words))
