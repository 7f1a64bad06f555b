"""Slices of a fold's worst, middling and best validation case, kept with its weights for the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.io.write import replacing
from hyperseg.report.segment.slices import Slice, slice_of_scene

EXAMPLES = "slices.npz"
NAMES = ("worst", "median", "best")


class Examples:
    """Slices of cases as they are predicted."""

    def __init__(self) -> None:
        self.kept: list[Slice] = []

    def add(self, name: str, dice: Sequence[float], scene: Scene, labels: NDArray[Any]) -> None:
        """Keep a slice of a case that was read, and of its prediction; `dice` of each class, NaN where it has none."""
        self.kept.append(slice_of_scene(name, mean_of(dice), scene, labels))


def mean_of(dice: Sequence[float]) -> float:
    """Of the classes that are there; NaN where none is."""
    known = [value for value in dice if not isnan(value)]
    return sum(known) / len(known) if known else nan


def chosen(slices: Sequence[Slice]) -> list[Slice]:
    """The case with the lowest score, the one in the middle, the one with the highest; fewer where there are fewer."""
    ranked = sorted((one for one in slices if not isnan(one.score)), key=lambda one: (one.score, one.name))
    return [ranked[at] for at in places_of(len(ranked))]


def places_of(n: int) -> list[int]:
    """Of `n` in ascending order: the first, the middle and the last."""
    return sorted({0, (n - 1) // 2, n - 1}) if n else []


def named(slices: Sequence[Slice]) -> list[Slice]:
    """The same with what they are examples of before their names."""
    words = NAMES if len(slices) == len(NAMES) else NAMES[:: len(NAMES) - 1]
    if len(slices) < 2:
        return list(slices)
    return [replace(one, name=f"{word}: {one.name}") for word, one in zip(words, slices, strict=True)]


def write_examples(folder: Path, slices: Sequence[Slice]) -> None:
    """Write three slices of a fold, whole or not at all."""
    kept = chosen(slices)
    arrays: dict[str, Any] = {}
    for i, one in enumerate(kept):
        arrays |= {f"truth{i}": one.truth, f"found{i}": one.found}
        if one.image is not None:
            arrays[f"image{i}"] = one.image
    words = [{"name": one.name, "score": None if isnan(one.score) else one.score, "pixel": one.pixel}
             for one in kept]  # fmt: skip
    with replacing(folder / EXAMPLES) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, words=np.array(json.dumps(words)), **arrays)


def read_examples(folder: Path) -> list[Slice]:
    """What `write_examples` wrote; nothing where there is no such file, or it is damaged."""
    try:
        with np.load(folder / EXAMPLES) as kept:
            return [
                Slice(
                    row["name"], nan if row["score"] is None else row["score"],
                    kept.get(f"image{i}"), kept[f"truth{i}"], kept[f"found{i}"],
                    tuple(row["pixel"]),
                )
                for i, row in enumerate(json.loads(str(kept["words"])))
            ]  # fmt: skip
    except (OSError, ValueError, KeyError, BadZipFile):
        return []
