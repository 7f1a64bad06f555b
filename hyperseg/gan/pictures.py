"""What a generator makes beside what the scene has: spectra and patches of every class, as bytes of PNG files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import UNLABELLED, LabelError, SceneError
from hyperseg.core.words import counted, one_line, thousands
from hyperseg.report.charts import QUIET, blank, by_class, png, tidy
from hyperseg.report.pictures import NO_DATA
from hyperseg.report.sheet import Colour, Picture, Word, enlarge, frame, lettered, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

MOST_CLASSES = 20  # more charts or rows are not looked at
MOST_PATCHES = 8
PATCH_PX = 54
PATCH_GAP, ROW_GAP = 4, 8
EM = 14  # of the lettering between patches, in pixels
INK = "#000000"
LUMA, PALE = (0.299, 0.587, 0.114), 0.7  # the line of a class of a paler colour is darkened to this luma
ROOM = 1.0  # how far the axis follows generated spectra beyond the real ones, in heights of these


def generated_spectra_figure(
    real: ArrayLike,
    real_labels: Labels,
    generated: ArrayLike,
    generated_labels: Labels,
    classes: Sequence[str],
    colours: Sequence[Colour],
    *,
    wavelengths_nm: ArrayLike | None = None,
    good_bands: NDArray[np.bool_] | None = None,
    write: Callable[[Figure], bytes] = png,
) -> bytes:
    """Mean and standard deviation of real (solid, filled) and generated (dashed) spectra, a chart per class.

    A class without any spectrum has no chart; of more than 20 classes those with the most are drawn. The common
    axis leaves room around the real spectra; generated ones that are farther off run out of the chart.

    Args:
        real, real_labels: (n, L) spectra and (n,) their classes 0..K-1, -1 = not drawn.
        generated, generated_labels: (m, L) spectra in the same units and (m,) their classes; m may be 0.
        classes, colours: K names and sRGB triples.
        wavelengths_nm: (L,) band centres; the axis counts bands without them.
        good_bands: (L,) bool, bands to draw.
        write: makes a file of the figure.

    Raises:
        SceneError: shapes that do not belong together, or no spectrum with a class.
        LabelError: classes without a name or a colour.
    """
    x, g = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if x.ndim != 2 or x.shape[1:] != g.shape[1:]:
        raise SceneError(
            f"real {x.shape} and generated {g.shape} spectra must be (n, L) of the same L bands to be compared."
        )
    shown, rest = _shown(real_labels, generated_labels, classes, colours)
    sides = [
        by_class(spectra, labels, len(classes), wavelengths_nm, good_bands)
        for spectra, labels in ((x, real_labels), (g, generated_labels))
    ]
    (_, _, seen, position), (_, _, made, _) = sides
    across = min(4, math.ceil(math.sqrt(len(shown))))
    down = math.ceil(len(shown) / across)
    figure = blank(1 + max(5.6, 2.8 * across), 1.3 + max(2.6 if down == 1 else 2.1, 1.9) * down)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for k, axes in zip(shown, grid, strict=False):
        _draw_class(axes, position, [(mean[k], spread[k]) for mean, spread, _, _ in sides], colours[k])
        amount = f"{thousands(seen[k]) if seen[k] else 'no'} real"
        amount += f", {thousands(made[k]) if made[k] else 'none'} generated"
        axes.set_title(f"{one_line(classes[k], 32)}\n{amount}", fontsize=9, loc="left", parse_math=False)
        tidy(axes)
    for i, axes in enumerate(grid):
        axes.set_visible(i < len(shown))
        # a column that ends early still needs its band numbers
        axes.tick_params(labelbottom=i + across >= len(shown))
    _limit(grid[0], [(mean[shown], spread[shown]) for mean, spread, _, _ in sides])
    _explain(figure)
    unit = "band" if wavelengths_nm is None else "wavelength (nm)"
    figure.supxlabel(f"{unit}    ({rest})" if rest else unit, fontsize=10)
    figure.supylabel("value", fontsize=10)
    return write(figure)


def generated_patches_figure(
    real: ArrayLike,
    generated: ArrayLike,
    real_labels: Labels,
    generated_labels: Labels,
    classes: Sequence[str],
    colours: Sequence[Colour],
) -> bytes:
    """A row per class: its first 8 real patches and its first 8 generated ones; returns a PNG file.

    Nothing is interpolated. A class without any patch has no row; of more than 20 classes those with the most are
    drawn. Patches of the same stretch are the caller's to see to; pixels that are not finite are grey.

    Args:
        real, generated: (n, h, w, 3) and (m, h, w, 3) red, green and blue, 0..1; values outside are drawn as the
            nearest of these. m may be 0.
        real_labels, generated_labels: (n,) and (m,) their classes 0..K-1, -1 = not drawn.
        classes, colours: K names and sRGB triples.

    Raises:
        SceneError: shapes that do not belong together, or no patch with a class.
        LabelError: classes without a name or a colour.
    """
    x, g = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if x.ndim != 4 or x.shape[3] != 3 or 0 in x.shape[1:] or g.shape[1:] != x.shape[1:]:
        raise SceneError(f"patches to draw are (n, h, w, 3) of one size, got {x.shape} real and {g.shape} generated.")
    for patches, labels in ((x, real_labels), (g, generated_labels)):
        if labels.shape != patches.shape[:1]:
            raise SceneError(f"{len(patches)} patches need a class each, got {labels.shape}.")
    shown, rest = _shown(real_labels, generated_labels, classes, colours)
    factor = max(1, PATCH_PX // max(x.shape[1:3]))
    height, width = factor * x.shape[1], factor * x.shape[2]
    sides = [  # heading, what stands where there is none, patches of every row
        ("real", "none real", [x[real_labels == k][:MOST_PATCHES] for k in shown]),
        ("generated", "none generated", [g[generated_labels == k][:MOST_PATCHES] for k in shown]),
    ]
    names = [one_line(classes[k], 30) for k in shown]
    left = 5 * EM + max(text_width(name, EM) for name in names)
    top, step = round(2.8 * EM), max(height, 2 * EM) + ROW_GAP
    ends = [left]
    for _, empty, rows in sides:
        drawn = max(len(row) for row in rows) * (width + PATCH_GAP) - PATCH_GAP
        ends.append(ends[-1] + max(drawn, text_width(empty, EM)) + 3 * EM)
    bottom = top + len(shown) * step
    last = ends[-1] - 2 * EM
    page = np.full((bottom + (3 * EM if rest else EM), max(last, 2 * EM + text_width(rest, EM)), 3), 255, np.uint8)
    words: list[Word] = [(EM, bottom + EM, rest, EM, False)]
    page[EM : bottom - ROW_GAP, ends[1] - 3 * EM // 2] = 150  # between real and generated
    for i, (k, name) in enumerate(zip(shown, names, strict=True)):
        middle = top + i * step + height // 2
        frame(page, np.full((EM, EM, 3), colours[k], np.uint8), x=EM, y=middle - EM // 2)
        words.append((2.7 * EM, middle, name, EM, False))
    for start, (heading, empty, rows) in zip(ends, sides, strict=False):
        words.append((start, 1.6 * EM, heading, EM, True))
        for i, row in enumerate(rows):
            y = top + i * step
            for j, patch in enumerate(row):
                frame(page, enlarge(_painted(patch), factor), x=start + j * (width + PATCH_GAP), y=y)
            if not len(row):
                words.append((start, y + height // 2, empty, EM, False))
    return lettered(page, words)


def _shown(real: Labels, generated: Labels, classes: Sequence[str], colours: Sequence[Colour]) -> tuple[list[int], str]:
    """Classes to draw, in their order, and a sentence on those for which there is no room."""
    k = len(classes)
    both = np.concatenate([real, generated]).astype(np.int64)
    low, high = (both.min(), both.max()) if both.size else (UNLABELLED, UNLABELLED)
    if len(colours) != k or low < UNLABELLED or high >= k:
        raise LabelError(
            f"labels from {low} to {high} do not fit {k} class names and {len(colours)} colours: expected -1 or "
            "0..K-1 and K of both."
        )
    counts = np.bincount(both[both != UNLABELLED], minlength=k)
    there = np.flatnonzero(counts)
    if not len(there):
        raise SceneError("there is neither a real nor a generated cube of any class to draw.")
    most = there[np.argsort(-counts[there], kind="stable")[:MOST_CLASSES]]
    rest = len(there) - len(most)
    return sorted(most.tolist()), f"{counted(rest, 'smaller class', 'smaller classes')} not drawn" if rest else ""


def _draw_class(axes: Axes, position: Floats, lines: Sequence[tuple[Floats, Floats]], colour: Colour) -> None:
    """Real spectra as in the figure of training spectra; generated ones dashed, their deviation as thin lines."""
    shade = tuple(c / 255 for c in colour)
    line = tuple(c * min(1.0, PALE / float(np.dot(shade, LUMA))) for c in shade) if any(shade) else shade
    (mean, spread), (made, varied) = lines
    axes.fill_between(position, mean - spread, mean + spread, color=shade, alpha=0.35, linewidth=0)
    axes.plot(position, mean, color=line, linewidth=1.8)
    for edge in (made - varied, made + varied):
        axes.plot(position, edge, color=INK, linewidth=0.7, linestyle=(0, (1, 1.5)))
    axes.plot(position, made, color="white", linewidth=2.4)  # black dashes show on a dark class too
    axes.plot(position, made, color=INK, linewidth=1.3, linestyle=(0, (4, 1.5)))


def _limit(axes: Axes, lines: Sequence[tuple[Floats, Floats]]) -> None:
    """The common axis: all real spectra, and generated ones as far as they leave the real ones readable."""
    (low, high), (lowest, highest) = (
        (np.nanmin(mean - spread), np.nanmax(mean + spread)) if np.isfinite(mean).any() else (math.nan, math.nan)
        for mean, spread in lines
    )
    if math.isnan(low) or math.isnan(lowest):
        return
    room = ROOM * (high - low)
    low, high = min(low, max(lowest, low - room)), max(high, min(highest, high + room))
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _explain(figure: Figure) -> None:
    """A legend above the charts; the class colours are the charts' own."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        (Patch(color=QUIET, alpha=0.35, linewidth=0), Line2D([], [], color=QUIET, linewidth=1.8)),
        Line2D([], [], color=INK, linewidth=1.3, linestyle=(0, (4, 1.5))),
        Line2D([], [], color=INK, linewidth=0.7, linestyle=(0, (1, 1.5))),
    ]
    texts = ["real: mean ± sd", "generated: mean", "generated: ± sd"]
    figure.legend(handles, texts, loc="outside upper left", ncols=3, frameon=False, fontsize=9, handlelength=3)


def _painted(patch: Floats) -> Picture:
    """(h, w, 3) of 0..1 as sRGB bytes; a pixel that is not finite is grey."""
    known = np.isfinite(patch).all(-1, keepdims=True)
    return np.where(known, np.rint(255 * np.where(known, patch, 0).clip(0, 1)), NO_DATA).astype(np.uint8)
