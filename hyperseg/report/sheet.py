"""A sheet: panels of pixels with a heading and a legend, painted into one array and then lettered.

Nothing is interpolated, so every pixel of a panel keeps exactly its colour in the PNG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.core.words import one_line

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]
Word = tuple[float, float, str, float, bool]  # x, middle y, text, size, bold; in pixels from the top left

CHEQUER = np.array([[225, 225, 225], [248, 248, 248]], np.uint8)
CHEQUER_PX = 6
PANEL_PX, LARGEST_PANEL_PX = 600, 2000
DPI = 64  # a power of two: sizes in inches, and so the picture's pixels, come out exact


@dataclass(frozen=True)
class Key:
    """One entry of a legend; no colour means the chequer of "no data"."""

    colour: Colour | None
    text: str


def zoom(shape: tuple[int, ...]) -> tuple[int, int]:
    """Take every how-manieth pixel, and repeat each how often."""
    if len(shape) != 2:
        raise LabelError(f"a picture needs rows and columns, got an array of shape {shape}: give one slice.")
    return math.ceil(max(shape) / LARGEST_PANEL_PX), max(1, PANEL_PX // max(shape))


def enlarge(array: NDArray[Any], factor: int) -> NDArray[Any]:
    return array.repeat(factor, 0).repeat(factor, 1)


def chequer(picture: Picture, where: Mask) -> Picture:
    """The (h, w, 3) picture with a chequer, which no class can have for a colour, at the (h, w) mask."""
    if not where.any():
        return picture
    rows, columns = np.indices(where.shape) // CHEQUER_PX
    return np.where(where[..., None], CHEQUER[(rows + columns) % 2], picture)


def sheet(panels: Sequence[tuple[str, Picture]], keys: Sequence[Key], *, title: str) -> bytes:
    """A PNG file: (name, (h, w, 3) picture) of one size side by side, wide ones in a column, and a legend below."""
    height, width = panels[0][1].shape[:2]
    stacked = width > 1.8 * height
    across, down = (1, len(panels)) if stacked else (len(panels), 1)
    em = max(14, round((across * width) / 85))
    gap, line = em, round(1.6 * em)
    column = max((text_width(key.text, em) for key in keys), default=0) + 3 * em
    heading = one_line(title, 90)
    wide = max(across * (width + gap) - gap, column, text_width(heading, 1.25 * em, bold=True))
    columns = max(1, (wide + em) // column)
    rows = math.ceil(len(keys) / columns)
    band = height + (line if any(name for name, _ in panels) else 0)
    top = gap + 2 * em
    tall = top + down * (band + gap) + rows * line + gap
    page = np.full((tall, wide + 2 * gap, 3), 255, np.uint8)
    words: list[Word] = [(gap, gap + 0.6 * em, heading, 1.25 * em, True)]
    for i, (name, picture) in enumerate(panels):
        x = gap + (0 if stacked else i * (width + gap))
        y = top + (i * (band + gap) if stacked else 0) + band - height
        frame(page, picture, x=x, y=y)
        words.append((x, y - 0.6 * line, name, em, False))
    for i, key in enumerate(keys):
        x, y = gap + i // rows * column, top + down * (band + gap) + i % rows * line
        swatch = np.full((em, round(1.4 * em), 3), 255 if key.colour is None else key.colour, np.uint8)
        if key.colour is None:
            swatch = chequer(swatch, np.ones(swatch.shape[:2], bool))
        frame(page, swatch, x=x, y=y)
        words.append((x + 1.9 * em, y + em / 2, key.text, em, False))
    return lettered(page, words)


def frame(page: Picture, picture: Picture, *, x: int, y: int) -> None:
    """Put a picture with a thin frame on the page, its first pixel at column x and row y."""
    height, width = picture.shape[:2]
    page[y - 1 : y + height + 1, x - 1 : x + width + 1] = 150
    page[y : y + height, x : x + width] = picture


def lettered(page: Picture, words: Iterable[Word]) -> bytes:
    """Set words on a picture; returns a PNG file.

    The page is put into the canvas as it is: as an image of a figure matplotlib would resample it first.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    height, width = page.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    pixels = np.asarray(canvas.buffer_rgba())
    pixels[..., :3], pixels[..., 3] = page, 255
    for x, y, text, size, bold in words:
        font: dict[str, Any] = {"fontsize": size * 72 / DPI, "fontweight": "bold" if bold else "normal"}
        # a class may be called "$CaCO_3$"
        word = figure.text(x / width, 1 - y / height, text, va="center_baseline", parse_math=False, **font)
        word.draw(renderer)
    nothing: Any = {"Software": None}
    with io.BytesIO() as file:
        imsave(file, pixels, format="png", origin="upper", dpi=DPI, metadata=nothing)
        return file.getvalue()


def text_width(text: str, size: float, *, bold: bool = False) -> int:
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size * 72 / DPI, weight="bold" if bold else "normal")
    return math.ceil(_measure().get_text_width_height_descent(text, font, False)[0])


@cache
def _measure() -> RendererAgg:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)
