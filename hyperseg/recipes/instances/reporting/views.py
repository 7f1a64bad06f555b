"""Pictures with the outlines of objects: as they are in truth beside as they were found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.write import replacing
from hyperseg.metrics.instances.precision import ids_of, mask_iou
from hyperseg.recipes.instances.pictures import Example
from hyperseg.report.segment.slices import FEW, stretched
from hyperseg.report.sheet import Colour, Key, Picture, enlarge, sheet

HIT: Colour = FEW[3]
WRONG: Colour = FEW[4]
UNKNOWN: Colour = FEW[0]
SIDE_PX = 512  # a picture is enlarged by whole factors up to here
OVERLAP = 0.5


def view(one: Example, found: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]] | None = None) -> bytes:
    """A PNG: the picture, and beside it outlines of what was found; with the truth, hits and misses in two colours."""
    picture = stretched(np.moveaxis(one.image, 0, -1)[..., : 3 if len(one.image) >= 3 else 1])
    picture = np.repeat(picture, 3, -1) if picture.shape[-1] == 1 else picture
    factor = max(1, SIDE_PX // max(one.size))
    plain = enlarge(picture, factor)
    n = len(ids_of(found))
    if truth is None:
        panels = [("", plain), ("found", _drawn(plain, [(found, None, UNKNOWN)], factor))]
        return sheet(panels, [Key(UNKNOWN, f"found, {n}")], title=one.name)
    overlap = mask_iou(found, truth) > OVERLAP
    hit, met = overlap.any(1), overlap.any(0)
    own, true = ids_of(found), ids_of(truth)
    here = _drawn(plain, [(found, own[hit], HIT), (found, own[~hit], WRONG)], factor)
    there = _drawn(plain, [(truth, true[met], HIT), (truth, true[~met], WRONG)], factor)
    panels = [("", plain), (f"true, {len(true)}", there), (f"found, {n}", here)]
    keys = [
        Key(HIT, f"in common (IoU above {OVERLAP:g}), {int(hit.sum())}"),
        Key(WRONG, "missed, or found where none is"),
    ]
    return sheet(panels, keys, title=one.name)


def write_view(path: Path, one: Example, found: NDArray[np.integer[Any]]) -> None:
    """Write `view` of what was found, whole or not at all."""
    content = view(one, found)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _drawn(picture: Picture, layers: list[tuple[NDArray[Any], NDArray[Any] | None, Colour]], factor: int) -> Picture:
    """The picture with the outlines of some objects of maps (H, W), inside their pixels."""
    page = picture.copy()
    for numbers, kept, colour in layers:
        shown = numbers if kept is None else np.where(np.isin(numbers, kept), numbers, 0)
        page[_inner_border(enlarge(shown, factor))] = colour
    return page


def _inner_border(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    around = np.pad(numbers, 1)
    beside = (around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1])
    return (numbers > 0) & np.any([other != numbers for other in beside], 0)
