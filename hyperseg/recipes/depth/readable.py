"""readable.png: at which times depth can be read, as curves and as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.write.files import replacing
from hyperseg.recipes.depth.reading import TIMES, Maps, Tried

SHOWN_TIMES, MOST_SHOWN = (0.02, 0.2, 0.5, 0.8), 5
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

    n, columns = min(len(images), MOST_SHOWN), 2 + len(SHOWN_TIMES)
    figure = Figure(figsize=(1.5 * columns, 3.2 + 1.5 * n), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=(3.2, 1.5 * n), squeeze=False)[:, 0]
    axes = above.subplots()
    for name, style in (("strong", "o-"), ("weak", "s--")):
        axes.plot(TIMES, [row[name]["l1"] for row in tried.rows], style, ms=4, label=f"{name} head")
    axes.axhline(tried.constant["l1"], color="gray", ls=":", label="mean depth map")
    axes.set(xlabel="t, share of the schedule", ylabel="L1 of inverse depth", ylim=(0, None))
    axes.set_title("Where depth is readable, held-out pictures", fontsize=10)
    axes.legend(fontsize=8)
    grid = below.subplots(n, columns, squeeze=False)
    for i in range(n):
        shown: list[NDArray[np.float32]] = [images[i].transpose(1, 2, 0) / 2 + 0.5, y[i]]
        shown += [said[TIMES.index(time), i] for time in SHOWN_TIMES]
        for cell, picture in zip(grid[i], shown, strict=True):
            cell.imshow(np.clip(picture, 0, 1), vmin=0, vmax=1, cmap=DEPTH_COLOURS, interpolation="nearest")
            cell.set_axis_off()
    for cell, title in zip(grid[0], ("picture", "true", *(f"t = {time:g}" for time in SHOWN_TIMES)), strict=True):
        cell.set_title(title, fontsize=9)
    with replacing(file) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
