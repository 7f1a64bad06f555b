"""Suggested fields in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.words import counted, percent
from hyperseg.io.pixel_area import pixel_areas
from hyperseg.io.write.regions import region_sums
from hyperseg.io.write.vectors import SQUARE_METRES_PER_HA
from hyperseg.regions.fields import Fields
from hyperseg.regions.gain import Chosen

POSSIBLE = 0.05  # a second class below this is not told
LIKE, LITTLE = 0.5, 0.1  # resemblance in words


@dataclass(frozen=True)
class Suggestion:
    """One field to label; a row of the file.

    Attributes:
        rank: 1 is the first to go to.
        predicted, second: its two most probable classes by the run; `confidence` is the probability of the first.
        pixels: its size; `area_ha` too where the grid tells.
        gain_px: pixels that are probably wrong there and that no labelled field, nor one of a smaller rank, speaks for.
        walk_km: from the place before, in a straight line; None where the grid knows no metres.
        reason: a sentence.
    """

    rank: int
    predicted: str
    second: str
    confidence: float
    pixels: int
    area_ha: float | None
    gain_px: float
    walk_km: float | None
    reason: str


def describe(
    picked: Chosen, means: NDArray[np.float64], known: NDArray[np.int64], fields: Fields, scene: Scene,
    classes: tuple[str, ...],
) -> list[Suggestion]:  # fmt: skip
    rows = pixel_areas(scene.grid, scene.shape)
    areas = (
        None if rows is None else region_sums((fields.number + 1).astype(np.int32), rows, len(fields.pixels) + 1)[1:]
    )
    rank = {int(r): i for i, r in enumerate(picked.regions, start=1)}
    found = []
    for i, r in enumerate(map(int, picked.regions)):
        first, second = np.argsort(-means[r], kind="stable")[:2]
        names = classes[first], classes[second]
        near = int(picked.nearest[i])
        like = f"field {rank[near]} of this list" if near in rank else ""
        if near >= 0 and not like:
            like = f"a labelled field of {scene.classes[known[near]]}"
        same = [int((known == scene.classes.index(name)).sum()) for name in names if name in scene.classes]
        found.append(
            Suggestion(
                i + 1, *names, float(means[r, first]), int(fields.pixels[r]),
                None if areas is None else float(areas[r] / SQUARE_METRES_PER_HA), float(picked.gains[i]),
                None if picked.walked is None else float(picked.walked[i] / 1000),
                reason_of(int(fields.pixels[r]), names, means[r][[first, second]], float(picked.resemblance[i]), like,
                        sum(same), bool((known >= 0).any())),
            )
        )  # fmt: skip
    return found


def reason_of(
    pixels: int, names: tuple[str, str], probs: NDArray[np.float64], resemblance: float, like: str, same: int, any: bool
) -> str:
    """Why: what it could be, and what it is like."""
    first, second = (f"{name} ({percent(100 * float(p))})" for name, p in zip(names, probs, strict=True))
    could = f"could be {first} or {second}" if probs[1] >= POSSIBLE else f"are probably {first}"
    if resemblance >= LITTLE:
        told = f"{'like' if resemblance >= LIKE else 'a little like'} {like}"
    elif same:
        told = (
            f"unlike all {same} labelled regions of either" if same > 1 else "unlike the one labelled region of either"
        )
    else:
        told = "unlike every labelled region" if any else "nothing is labelled in this scene"
    return f"{counted(pixels, 'pixel')} that {could}; {told}"
