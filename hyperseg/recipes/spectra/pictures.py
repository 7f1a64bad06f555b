"""Pictures of strange pixels: where they are, and what their spectra are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.recipes.spectra.record import SpectraRun
from hyperseg.recipes.spectra.scoring import Seen
from hyperseg.recipes.spectra.typical import surprise_of_bands
from hyperseg.report.charts import blank, png, tidy
from hyperseg.report.pictures import false_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK, USUAL, EXPECTED = "#d62728", "#9db8c9", "#1f5a7a"
STRANGEST, BEND = 99.5, 0.4  # percentile at which the colours end, and how they are bent


def draw_map(scene: Scene, seen: Seen) -> bytes:
    """A PNG: false colour with the strangest pixels marked, the map in bits per band, and Reed-Xiaoli's beside it."""
    from matplotlib.colors import PowerNorm

    rows, columns = seen.thin.shape[:2]
    wide = max(2.4, min(4.6, 4.2 * columns / rows))
    figure = blank(3 * wide + 1.6, wide * rows / columns + 0.7)
    colour, model, control = figure.subplots(1, 3)
    colour.imshow(false_colour(scene, step=seen.step))
    colour.set_title("false colour, strangest pixels", fontsize=10)
    for i, pixel in enumerate(seen.top, start=1):
        x, y = pixel.column / seen.step, pixel.row / seen.step
        colour.plot(x, y, "o", mfc="none", mec=MARK, ms=9, mew=1.4)
        colour.annotate(str(i), (x, y), (5, 5), textcoords="offset points", color=MARK, fontsize=9, weight="bold")
    for axes, values, title in (
        (model, seen.thin[..., 0], "diffusion model, bits per band"),
        (control, seen.thin[..., 1], "control: Reed-Xiaoli, squared distance"),
    ):
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, (1, STRANGEST)) if known.size else (0, 1)
        scale = PowerNorm(BEND, low, max(high, low + 1e-6))  # most pixels are usual, and few of the others far more so
        shown = axes.imshow(values, cmap="inferno", norm=scale, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        figure.colorbar(shown, ax=axes, shrink=0.8, extend="max")
    for axes in (colour, model, control):
        axes.set_axis_off()
    return png(figure)


def draw_spectra(run: SpectraRun, scene: Scene, seen: Seen) -> bytes:
    """A PNG: each of the strangest spectra against usual ones and what was expected, and how far its bands are off."""
    top = seen.top
    figure = blank(11, 2.1 * max(len(top), 1) + 0.5)
    grid = figure.subplots(max(len(top), 1), 2, squeeze=False, sharex=True, width_ratios=(3, 2))
    used = run.preprocess.keep
    nm = scene.wavelengths_nm if scene.wavelengths_nm is not None else run.wavelengths_nm
    x = np.arange(len(used)) if nm is None else np.asarray(nm)
    for i, (pixel, axes) in enumerate(zip(top, grid, strict=False), start=1):
        spectrum = np.where(used, pixel.spectrum, np.nan)
        expected = run.model.expected(pixel.spectrum[None])[0]
        surprise = surprise_of_bands(run.model, run.typical, pixel.spectrum[None])[0]
        _spectrum(axes[0], x, used, run, spectrum, expected)
        axes[0].set_title(
            f"{i}: row {pixel.row}, column {pixel.column}, {pixel.bits:.2f} bits per band", fontsize=9, loc="left"
        )
        axes[1].fill_between(x, np.nan_to_num(surprise), color=MARK, alpha=0.75, linewidth=0)
        axes[1].set_title("off what was expected, times usual", fontsize=9, loc="left")
        tidy(axes[1])
    if top:
        grid[0, 0].legend(fontsize=7, frameon=False, ncols=3)
    for axes in grid[-1]:
        axes.set_xlabel("band" if nm is None else "wavelength (nm)", fontsize=9)
    return png(figure)


def _spectrum(
    axes: Axes, x: NDArray[Any], used: NDArray[np.bool_], run: SpectraRun, spectrum: NDArray[Any],
    expected: NDArray[Any],
) -> None:  # fmt: skip
    low, middle, high = (np.where(used, v, np.nan) for v in (run.typical.low, run.typical.middle, run.typical.high))
    axes.fill_between(x, low, high, color=USUAL, alpha=0.45, linewidth=0, label="usual, 5 to 95 %")
    axes.plot(x, middle, color=USUAL, linewidth=1)
    axes.plot(x, expected, color=EXPECTED, linewidth=1.1, linestyle="--", label="what was expected")
    axes.plot(x, spectrum, color=MARK, linewidth=1.3, label="this pixel")
    tidy(axes)
