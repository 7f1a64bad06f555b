"""Slices of cases with what is true and what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.words import number, one_line
from hyperseg.io.labels.natural import class_colours
from hyperseg.report.sheet import Colour, Key, Picture, sheet, text_width

LARGEST_PX = 400  # of a slice that is kept
SIDE_PX, GAP_PX = 300, 4  # of a panel, and between the two of a case
STRENGTH = 0.5  # of a class's colour over the image
LINE_PX = 2
GREY = 90  # of a slice without an image
RANGE = (1, 99)  # percentiles that are black and white
LONGEST = 30  # letters of a case's name
LETTERS_PX = 16  # of names, or a little less
FEW = ((230, 159, 0), (86, 180, 233), (240, 228, 66), (0, 200, 140), (224, 94, 0), (214, 128, 178))
LEAST_LIGHT, LUMA = 120.0, (0.299, 0.587, 0.114)  # of a colour, and what red, green and blue have of it (Rec. 601)


@dataclass(frozen=True)
class Slice:
    """A slice of a case.

    Attributes:
        name: of the case, with what it is an example of, "worst" say.
        score: mean Dice of the case; NaN where it has none.
        image: (h, w) or (h, w, 3) uint8; or None.
        truth, found: (h, w) int8 classes, 0 is background, -1 for none.
        pixel: height and width of a pixel.
        doubt: (h, w) how uncertain the answer is, 0 to 255; or None.
    """

    name: str
    score: float
    image: NDArray[np.uint8] | None
    truth: NDArray[np.int8]
    found: NDArray[np.int8]
    pixel: tuple[float, float] = (1.0, 1.0)
    doubt: NDArray[np.uint8] | None = None


def slice_of(
    name: str, score: float, truth: NDArray[Any], found: NDArray[Any], *, cube: Any = None,
    spacing: Sequence[float] | None = None, upright: bool = False, doubt: NDArray[Any] | None = None,
) -> Slice:  # fmt: skip
    """A picture, or of a volume the slice along the first axis with most foreground in truth and prediction together.

    Args:
        name, score: see `Slice`.
        truth, found: (*S) classes.
        cube: (*S, C) values: the first channel is drawn, three of them as colours; nothing where it is left out.
        spacing: of the axes.
        upright: rows of slices run from back to front, as those of volumes in millimetres: they are turned over.
        doubt: (*S) 0 to 1; nothing of it is drawn where it is left out.
    """
    here: tuple[Any, ...] = ()
    if truth.ndim == 3:
        filled = ((truth > 0) | (found > 0)).sum((1, 2))
        here = (int(filled.argmax()) if filled.any() else len(filled) // 2,)
    flip = -1 if upright and here else 1
    step = ceil(max(truth.shape[-2:]) / LARGEST_PX)
    place = (*here, slice(None, None, flip * step), slice(None, None, step))
    image = None
    if cube is not None:
        values = np.asarray(cube[place])
        image = stretched(values[..., :3] if values.shape[-1] == 3 and not here else values[..., 0])
    pixel = (1.0, 1.0) if spacing is None else (float(spacing[-2]), float(spacing[-1]))
    unsure = None if doubt is None else np.rint(255 * doubt[place].clip(0, 1)).astype(np.uint8)
    return Slice(name, score, image, truth[place].astype(np.int8), found[place].astype(np.int8), pixel, unsure)


def slice_of_scene(
    name: str, score: float, scene: Scene, found: NDArray[Any], doubt: NDArray[Any] | None = None
) -> Slice:
    """Of a case that was read, and its prediction."""
    return slice_of(
        name, score, np.asarray(scene.labels), found, cube=scene.cube, spacing=scene.grid.spacing,
        upright=scene.grid.unit == "mm", doubt=doubt,
    )  # fmt: skip


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as 0 to 255, from the 1st to the 99th percentile; what is no number is black."""
    known = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(known, RANGE)
    return np.rint(255 * ((known - low) / max(float(high - low), 1e-12)).clip(0, 1)).astype(np.uint8)


def slices_figure(slices: Sequence[Slice], classes: Sequence[str], *, title: str) -> bytes:
    """Cases side by side, above as they are, below with classes: filled as predicted, outlined as they are in truth.

    What is uncertain, where that is told, stands below them.

    Args:
        slices: of one to four cases.
        classes: names, background first.
        title: heading.
    """
    colours = colours_of(classes[1:])
    table = np.array([(0, 0, 0), *colours], np.float64)
    made = [_panels(one, table) for one in slices]
    names = [f"{one_line(one.name, LONGEST)}{'' if isnan(one.score) else f' {number(one.score, 3)}'}" for one in slices]
    height, width = (max(panel.shape[axis] for panel in made) for axis in (0, 1))
    width = max(width, *(text_width(name, LETTERS_PX) for name in names))
    panels = []
    for name, panel in zip(names, made, strict=True):
        page = np.full((height, width, 3), 255, np.uint8)
        top, left = (height - panel.shape[0]) // 2, (width - panel.shape[1]) // 2
        page[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
        panels.append((name, page))
    keys = [Key(colour, one_line(name, 40)) for colour, name in zip(colours, classes[1:], strict=True)]
    return sheet(panels, keys, title=title)


def colours_of(classes: Sequence[str]) -> tuple[Colour, ...]:
    """Of foreground classes, seen on grey images: of few of them the brightest that colour-blind viewers tell apart.

    Source: Okabe and Ito, "Color Universal Design", 2002.
    Differs: green, vermilion and purple are a little lighter, for dark images.
    """
    if len(classes) <= len(FEW):
        return FEW[: len(classes)]
    return tuple(bright(colour) for colour in class_colours(tuple(classes)))


def bright(colour: Colour) -> Colour:
    """A colour that is seen on a dark image: a dark one is mixed with white."""
    light = sum(share * part for share, part in zip(LUMA, colour, strict=True))
    white = max(0.0, LEAST_LIGHT - light) / max(255 - light, 1.0)
    r, g, b = (round(part + white * (255 - part)) for part in colour)
    return r, g, b


def heat(values: NDArray[np.uint8]) -> Picture:
    """(h, w) 0 to 255 -> (h, w, 3): black for 0, over purple and orange to a pale yellow."""
    from matplotlib import colormaps

    found: Picture = colormaps["inferno"](values, bytes=True)[..., :3]
    return found


def _panels(one: Slice, colours: NDArray[np.float64]) -> Picture:
    """The slice as it is, below it in grey with truth and prediction, and what is uncertain; pixels in proportion."""
    from scipy.ndimage import binary_dilation

    lengths = [n * size for n, size in zip(one.truth.shape, one.pixel, strict=True)]
    sides = [max(1, round(SIDE_PX * length / max(lengths))) for length in lengths]
    rows, columns = (((np.arange(s) + 0.5) * n / s).astype(int) for s, n in zip(sides, one.truth.shape, strict=True))
    truth, found = (labels[rows][:, columns] for labels in (one.truth, one.found))
    plain = np.full((*sides, 3), GREY, np.float64)
    if one.image is not None:
        image = one.image[rows][:, columns]
        plain[:] = image if image.ndim == 3 else image[..., None]
    part = np.where(found > 0, STRENGTH, 0)[..., None]
    grey = np.sum(plain * LUMA, -1, keepdims=True)  # below, so that colours are those of classes alone
    painted = (1 - part) * grey + part * colours[np.maximum(found, 0)]
    edges = {k: _edge(truth == k) for k in range(1, len(colours))}
    around = binary_dilation(np.any([*edges.values(), np.zeros_like(truth, bool)], 0)) & (truth <= 0)
    painted[around] = 0  # a dark line around the bright one: both a white and a black ground let it be seen
    for k, edge in edges.items():
        painted[edge] = colours[k]
    panels = [plain, painted] if one.image is not None else [painted]
    if one.doubt is not None:
        panels.append(heat(one.doubt[rows][:, columns]).astype(np.float64))
    gap = np.full((GAP_PX, sides[1], 3), 255.0)
    pieces = [piece for panel in panels for piece in (gap, panel)][1:]
    return np.rint(np.concatenate(pieces)).astype(np.uint8)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outermost pixels of a mask, a line of them."""
    from scipy.ndimage import binary_erosion

    edge: NDArray[np.bool_] = mask & ~binary_erosion(mask, iterations=LINE_PX)
    return edge
