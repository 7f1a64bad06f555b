"""Sheets of small pictures and their depth: strips under one another, and the scale of the depth's colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.words import one_line
from hyperseg.report.charts import LINE_COLOURS, blank, png, tidy
from hyperseg.report.sheet import Picture, Word, enlarge, frame, lettered, text_width

COLOURS = "magma"  # of the root of inverse depth: near is bright, and what is far is not all black
TILE_PX = 96  # a picture is enlarged by a whole factor up to here
ACROSS = 8  # pictures of a strip
GAP, EM = 6, 14
TICKS = 5
Pictures = NDArray[np.uint8]  # (k, h, w, 3)


def coloured(y: NDArray[Any]) -> Pictures:
    """Inverse depth (..., h, w), 0 to 1, as colours (..., h, w, 3); unknown is grey."""
    from matplotlib import colormaps

    values = np.asarray(y, np.float64)
    painted = np.asarray(colormaps[COLOURS](np.sqrt(np.nan_to_num(values).clip(0, 1)), bytes=True))[..., :3].copy()
    painted[np.isnan(values)] = 128
    return painted


def strips_sheet(strips: Sequence[tuple[str, Pictures]], *, title: str, z: tuple[float, float]) -> bytes:
    """A PNG file: strips of pictures under one another, each with its name at the left, and the scale of depth below.

    Args:
        strips: (name, pictures of one size); a nameless one belongs to the strip above it, and stands nearer to it.
        title: heading.
        z: nearest and farthest depth, which inverse depth 1 and 0 stand for.
    """
    count, side = max(len(pictures) for _, pictures in strips), strips[0][1].shape[1:3]
    factor = max(1, TILE_PX // max(side))
    tall, wide = side[0] * factor, side[1] * factor
    margin = max((text_width(name, EM) for name, _ in strips), default=0) + 2 * EM
    heading = one_line(title, 100)
    bar = 18 * EM
    width = max(
        margin + count * (wide + GAP) + EM, text_width(heading, 1.25 * EM, bold=True) + 2 * EM, margin + bar + 3 * EM
    )
    above = [2 * EM if name else GAP for name, _ in strips]
    height = 3 * EM + sum(above) + len(strips) * tall + 5 * EM
    page = np.full((height, width, 3), 255, np.uint8)
    words: list[Word] = [(EM, 1.6 * EM, heading, 1.25 * EM, True)]
    top = 3 * EM
    for (name, pictures), space in zip(strips, above, strict=True):
        top += space
        words.append((EM, top + tall / 2, name, EM, False))
        for k, picture in enumerate(pictures):
            frame(page, enlarge(picture, factor), x=margin + k * (wide + GAP), y=top)
        top += tall
    words += _scale(page, x=margin, y=top + 2 * EM, width=bar, z=z)
    return lettered(page, words)


def _scale(page: Picture, *, x: int, y: int, width: int, z: tuple[float, float]) -> list[Word]:
    """Paint the scale of depth; gives its words."""
    near, far = z
    frame(page, coloured(np.repeat(np.linspace(0, 1, width)[None], EM, 0)), x=x, y=y)
    words: list[Word] = [(EM, y + EM / 2, "depth", EM, False)]
    for at in np.linspace(0, 1, TICKS):
        depth = 1 / (at * (1 / near - 1 / far) + 1 / far)
        text = f"{depth:.3g}"
        words.append((x + at * width - text_width(text, EM) / 2, y + 1.9 * EM, text, EM, False))
    return words


def beside(
    images: Pictures, y: NDArray[Any], name: str, *, most: int = ACROSS, rows: int = 1
) -> list[tuple[str, Pictures]]:
    """Strips of pictures, and below each the depth that was read in them."""
    found: list[tuple[str, Pictures]] = []
    for row in range(rows):
        some = slice(row * most, (row + 1) * most)
        if len(images[some]):
            found += [(name if row == 0 else " ", images[some]), ("", coloured(y[some]))]
    return found


def shift_figure(rows: Sequence[tuple[str, NDArray[np.float64]]]) -> bytes:
    """Length of the guidance's shift beside the sampler's own step, by time; a PNG file.

    Args:
        rows: (name, (k, 4) steps as in `Part`).
    """
    figure = blank(8, 4)
    axes = figure.subplots()
    for (name, steps), colour in zip(rows, LINE_COLOURS, strict=False):
        shown = steps[np.isfinite(steps[:, 2]) & (steps[:, 2] > 0)]
        axes.plot(shown[:, 0], shown[:, 2], color=colour, marker="o", markersize=3, linewidth=1.4, label=name)
    axes.set(yscale="log", xlabel="time as a share of the schedule (1 = pure noise)", ylabel="shift / own step")
    axes.invert_xaxis()  # as sampling goes
    tidy(axes)
    if rows:
        axes.legend(frameon=False, fontsize=9)
    return png(figure)
