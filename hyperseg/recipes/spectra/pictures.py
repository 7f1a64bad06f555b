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

MARK, USUAL, EXPECTED, TRUTH = "#d62728", "#9db8c9", "#1f5a7a", "#35e0ff"
TITLES = (
    "The scene in false colour,\nits strangest pixels numbered",
    "Diffusion model: bits per band,\nbright = unexpected",
    "Control, Reed-Xiaoli: squared\ndistance to the mean, bright = far",
)
GAP = 2.5  # usual steps of wavelength, beyond which bands lie between that were removed
HIGH, TICKS = 3.4, (50, 90, 99, 100)  # inches of a panel's longer side; percentiles with a number at the colours


def draw_map(run: SpectraRun, scene: Scene, seen: Seen) -> bytes:
    """A PNG: false colour with the strangest pixels marked, the map in bits per band, and Reed-Xiaoli's beside it.

    Rows that run south to north and columns that run east to west are turned, so that north is up. What is known to be
    strange is outlined. Both maps have colours that rise evenly up to the 90th percentile and with the logarithm above:
    most pixels are usual, and few of the others far more so.
    """
    rows, columns = seen.thin.shape[:2]
    scale = HIGH / max(rows, columns)
    wide, high = max(columns * scale, 2.4), max(rows * scale, 1.6)
    figure = blank(3 * wide + 3.0, high + 0.95)
    panels = figure.subplots(1, 3)
    panels[0].imshow(false_colour(scene, step=seen.step), interpolation="nearest")
    for i, pixel in enumerate(seen.top, start=1):
        x, y = pixel.column / seen.step, pixel.row / seen.step
        panels[0].plot(x, y, "o", mfc="none", mec=MARK, ms=9, mew=1.4)
        panels[0].annotate(
            str(i), (x, y), (6, 5), textcoords="offset points", color="white", fontsize=8, weight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": MARK, "ec": "none"},
        )  # fmt: skip
    for axes, values in zip(panels[1:], np.moveaxis(seen.thin, -1, 0), strict=True):
        _coloured(axes, values)
    for axes, title in zip(panels, TITLES, strict=True):
        axes.set_title(title, fontsize=9.5, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        if seen.outlined is not None and seen.outlined.any() and not seen.outlined.all():
            axes.contour(seen.outlined, [0.5], colors=TRUTH, linewidths=0.9)
        _north_up(axes, scene)
    figure.supxlabel(_caption(run, scene, seen), fontsize=8.5, x=0.01, y=0.015, ha="left", va="bottom")
    return png(figure)


def _coloured(axes: Axes, values: NDArray[np.float32]) -> None:
    """A map whose colours rise evenly up to the 90th percentile, and with the logarithm above."""
    from matplotlib.colors import FuncNorm

    known = values[np.isfinite(values)]
    if not known.size:
        return
    places = np.percentile(known, TICKS)
    median, width, most = places[0], max(places[1] - places[0], 1e-6), places[-1]
    bent = FuncNorm(
        (lambda v: np.arcsinh((v - median) / width), lambda c: median + width * np.sinh(c)),
        float(np.percentile(known, 1)), float(max(most, median + 2 * width)),
    )  # fmt: skip
    shown = axes.imshow(values, cmap="inferno", norm=bent, interpolation="nearest")
    axes.set_facecolor("#808080")  # pixels without data
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.85, ticks=list(places))
    words = ("{:.3g}, half below", "{:.3g}, 90 % below", "{:.3g}, 99 % below", "{:.3g}, highest")
    bar.ax.set_yticklabels([w.format(v) for w, v in zip(words, places, strict=True)], fontsize=8)
    bar.ax.minorticks_off()


def _north_up(axes: Axes, scene: Scene) -> None:
    if scene.grid.affine is None:
        return
    east, _, _, _, south, _ = scene.grid.affine  # map units to the next column, and to the next row
    if south > 0:
        axes.invert_yaxis()
    if east < 0:
        axes.invert_xaxis()


def _caption(run: SpectraRun, scene: Scene, seen: Seen) -> str:
    of = "" if run.scene_name == scene.name else f" of {run.scene_name}"
    trim = run.model.settings.trim
    but = f" but for the strangest {100 * trim:g} %" if trim else ""
    words = f"{scene.name}: learned from {run.learned}{of}{but}."
    if seen.outlined is not None:
        words += " Outlined: known to be strange."
    return words


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
            f"{i}: row {pixel.row}, column {pixel.column} (from 0), {pixel.bits:.2f} bits per band",
            fontsize=9,
            loc="left",
        )
        at, off = broken(x, surprise)
        axes[1].fill_between(at, off, color=MARK, alpha=0.75, linewidth=0)
        axes[1].set_title("difference from the expected", fontsize=9, loc="left")
        axes[1].set_ylabel("in usual differences", fontsize=8)
        tidy(axes[1])
    if top:
        grid[0, 0].legend(fontsize=7, frameon=False, ncols=3)
    for axes in grid[-1]:
        axes.set_xlabel("band, from 0" if nm is None else "wavelength (nm)", fontsize=9)
    return png(figure)


def _spectrum(
    axes: Axes, x: NDArray[Any], used: NDArray[np.bool_], run: SpectraRun, spectrum: NDArray[Any],
    expected: NDArray[Any],
) -> None:  # fmt: skip
    low, middle, high = (np.where(used, v, np.nan) for v in (run.typical.low, run.typical.middle, run.typical.high))
    at, bottom, top = broken(x, low, high)
    axes.fill_between(at, bottom, top, color=USUAL, alpha=0.45, linewidth=0, label="usual, 5 to 95 %")
    axes.plot(*broken(x, middle), color=USUAL, linewidth=1)
    axes.plot(*broken(x, expected), color=EXPECTED, linewidth=1.1, linestyle="--", label="what was expected")
    axes.plot(*broken(x, spectrum), color=MARK, linewidth=1.3, label="this pixel")
    axes.set_ylabel("value in the file", fontsize=8)
    tidy(axes)


def broken(x: NDArray[Any], *values: NDArray[Any]) -> list[NDArray[Any]]:
    """(C,) positions of bands and values there, with NaN put in where bands are missing or a new detector begins.

    A line that is drawn through them does not cross the gap.
    """
    steps = np.diff(np.asarray(x, np.float64))
    rising = steps[steps > 0]
    usual = np.median(rising) if rising.size else np.inf
    after = np.flatnonzero((steps > GAP * usual) | (steps <= 0)) + 1
    return [np.insert(np.asarray(v, np.float64), after, np.nan) for v in (x, *values)]
