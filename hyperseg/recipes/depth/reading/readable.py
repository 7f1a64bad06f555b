"""readable.png: at which times depth can be read, as curves and as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.write.files import replacing
from hyperseg.recipes.depth.reading.heads import TIMES, Maps, Tried

SHOWN_TIMES, MOST_SHOWN = (0.02, 0.2, 0.5, 0.8), 5
GAP, WIDTH, ABOVE = 1, 9.0, 3.6  # pixels between pictures; inches of the whole, and of the curves
DEPTH_COLOURS = "magma"  # near is bright


def draw_readable(file: Path, tried: Tried, images: Maps, y: Maps, said: Maps) -> None:
    """Draw the error of both heads over time, and of some held-out pictures what the strong head says.

    Args:
        images: (n, 3, h, w) from -1 to 1.
        y: (n, h, w) true inverse depth, NaN where it is not known.
        said: (len(TIMES), n, h, w) of the strong head.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = [np.clip(images[:MOST_SHOWN] / 2 + 0.5, 0, 1).transpose(0, 2, 3, 1)]
    shown_y = [one[:MOST_SHOWN] for one in (y, *(said[TIMES.index(time)] for time in SHOWN_TIMES))]
    cells += [_coloured(one, _top(shown_y[0])) for one in shown_y]
    padded = [np.pad(cell, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=1) for cell in cells]
    sheet = np.concatenate([np.concatenate(list(column)) for column in padded], 1)
    below = WIDTH * sheet.shape[0] / sheet.shape[1]
    figure = Figure(figsize=(WIDTH, ABOVE + below))
    FigureCanvasAgg(figure)
    curves = figure.add_axes((0.09, (below + 0.75) / (ABOVE + below), 0.88, (ABOVE - 1.1) / (ABOVE + below)))
    for name, style in (("strong", "o-"), ("weak", "s--")):
        curves.plot(TIMES, [row[name]["l1"] for row in tried.rows], style, ms=4, label=f"{name} head")
    curves.axhline(tried.constant["l1"] or 0, color="gray", ls=":", label="median depth map")
    curves.set(xlabel="t, share of the schedule", ylabel="L1 of inverse depth", ylim=(0, None))
    curves.set_title("Where depth is readable: held-out pictures, near is bright", fontsize=10)
    curves.legend(fontsize=8)
    shown = figure.add_axes((0, 0, 1, below / (ABOVE + below)))
    shown.imshow(sheet, interpolation="nearest", aspect="auto")
    shown.set_axis_off()
    titles = ("picture", "true", *(f"t = {time:g}" for time in SHOWN_TIMES))
    for i, title in enumerate(titles):
        figure.text((i + 0.5) / len(titles), (below + 0.05) / (ABOVE + below), title, ha="center", fontsize=9)
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _top(y: Maps) -> float:
    """The nearest known depth, which is brightest; rooms with little that is near would be all dark by a scale to 1."""
    known = y[np.isfinite(y)]
    return max(float(known.max()), 0.1) if known.size else 1.0


def _coloured(y: Maps, top: float) -> NDArray[np.float64]:
    """(n, h, w) inverse depth from 0 to `top` as (n, h, w, 3) colours, 0..1; unknown is grey."""
    from matplotlib import colormaps

    painted = np.asarray(colormaps[DEPTH_COLOURS]((np.nan_to_num(y) / top).clip(0, 1)))[..., :3].copy()
    painted[np.isnan(y)] = 0.5
    return painted
