"""A picture of a scene with numbered outlines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.report.pictures import false_colour
from hyperseg.report.sheet import Colour, enlarge, frame, lettered, zoom

OUTLINE: Colour = (255, 0, 255)  # in no natural scene
SIZE_PX = 15  # of the numbers
LEAST_PX = 3  # the scene is enlarged so that an outline leaves something to see of a pixel


def outlines_figure(scene: Scene, numbers: NDArray[np.integer], named: Mapping[int, str]) -> bytes:
    """The scene in false colour, and on it the outlines of numbered regions with their names; a PNG file.

    Args:
        scene: (H, W, C).
        numbers: (H, W) number of the region of every pixel.
        named: number -> what is written on it; other numbers are not drawn.
    """
    step, factor = zoom(scene.shape)
    factor = max(factor, LEAST_PX) if step == 1 else factor
    shown = np.where(np.isin(numbers, list(named)), numbers, -1)[::step, ::step]
    picture, large = enlarge(false_colour(scene, step=step), factor), enlarge(shown, factor)
    picture[_borders(large)] = OUTLINE
    page = np.full((picture.shape[0] + 2, picture.shape[1] + 2, 3), 255, np.uint8)
    frame(page, picture, x=1, y=1)
    words = []
    for number, text in named.items():
        places = np.argwhere(large == number)
        if len(places):
            middle = places[np.abs(places - places.mean(0)).sum(1).argmin()]  # in the region, whatever its shape
            row, column = map(float, middle)
            page[max(int(row) - 8, 0) : int(row) + 10, max(int(column) - 5, 0) : int(column) + 9 * len(text) + 5] = 255
            words.append((column, row + 1, text, float(SIZE_PX), True))
    return lettered(page, words)


def _borders(numbers: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels of regions (not -1) beside another number or the edge of the picture."""
    around = np.pad(numbers, 1, constant_values=-2)
    beside = [around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]]
    return (numbers >= 0) & np.any([other != numbers for other in beside], 0)
