"""Pictures of generated samples beside real ones, class by class."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.recipes.spectra.generation.halves import Halves
from hyperseg.recipes.spectra.pictures import broken
from hyperseg.report.charts import blank, png, tidy
from hyperseg.report.pictures import false_colours

REAL, MADE = "#1f5a7a", "#d62728"
LINES, MOST_CLASSES, PATCHES = 5, 16, 6
Float32 = NDArray[np.float32]


def draw_generated(scene: Scene, halves: Halves, made: Float32, labels: NDArray[np.int64], real: Float32) -> bytes:
    """A PNG with a panel for each class: mean and spread of held-out and of generated spectra, and some of the latter.

    Args:
        made: (n, C) generated spectra of (n,) classes.
        real: (m, C) held-out spectra, see `halves.test_labels`.
    """
    names = halves.classes[:MOST_CLASSES]
    across = min(4, len(names))
    down = math.ceil(len(names) / across)
    figure = blank(3.4 * across, 2.3 * down + 0.4)
    grid = figure.subplots(down, across, squeeze=False, sharex=True)
    unused = ~np.isfinite(made).all(0)
    x = np.arange(made.shape[1]) if scene.wavelengths_nm is None else scene.wavelengths_nm
    for k, (name, axes) in enumerate(zip(names, grid.flat, strict=False)):
        own, held = made[labels == k], real[halves.test_labels == k].astype(np.float32)
        for values, colour, word in ((held, REAL, "real, held out"), (own, MADE, "generated")):
            values = np.where(unused, np.nan, values)
            mean, spread = values.mean(0), values.std(0)
            axes.fill_between(*broken(x, mean - spread, mean + spread), color=colour, alpha=0.22, linewidth=0)
            axes.plot(*broken(x, mean), color=colour, linewidth=1.4, label=word)
        for line in own[:LINES]:
            axes.plot(*broken(x, line), color=MADE, linewidth=0.5, alpha=0.6)
        axes.set_title(name, fontsize=9, loc="left")
        tidy(axes)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    grid[0, 0].legend(fontsize=7, frameon=False)
    for axes in grid[:, 0]:
        axes.set_ylabel("value in the file", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("band, from 0" if scene.wavelengths_nm is None else "wavelength (nm)", fontsize=8)
    return png(figure)


def draw_patches(scene: Scene, halves: Halves, made: Float32, labels: NDArray[np.int64], real: Float32) -> bytes:
    """A PNG with a row for each class: some held-out patches, then some generated ones, in false colours."""
    names = halves.classes[:MOST_CLASSES]
    figure = blank(2 * PATCHES * 0.8 + 2.4, 0.85 * len(names) + 0.6)
    grid = figure.subplots(len(names), 2 * PATCHES, squeeze=False)
    for k, name in enumerate(names):
        held = real[halves.test_labels == k]
        own = [*held[np.linspace(0, len(held) - 1, min(PATCHES, len(held))).astype(int)]]  # neighbours show one place
        shown = own + [None] * (PATCHES - len(own)) + [*made[labels == k][:PATCHES]]
        for axes, patch in zip(grid[k], shown, strict=False):
            if patch is not None:
                axes.imshow(false_colours(np.nan_to_num(patch), scene), interpolation="nearest")
        grid[k, 0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    grid[0, 0].set_title("real, held out", fontsize=9, loc="left")
    grid[0, PATCHES].set_title("generated", fontsize=9, loc="left")
    return png(figure)
