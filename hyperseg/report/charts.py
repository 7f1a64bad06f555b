"""The charts of a report: confusion, training, spectra.

Every function returns the bytes of a PNG file and leaves matplotlib's global state alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import LabelError, SceneError, SettingError
from hyperseg.core.words import one_line, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
QUIET = "#8a8a8a"
DPI = 110
EDGE, LABEL = 0.04, 0.27  # inches around a figure, and for what its axes are called
MOST_CHARTS, MOST_NUMBERED, MOST_NAMED = 24, 30, 40  # classes drawn apart, with numbers, with names


def confusion_figure(confusion: ArrayLike, classes: Sequence[str]) -> bytes:
    """What the test pixels of every class were mapped as, in percent of the class.

    Above 30 classes colours stand without numbers, above 40 only every second, third, ... class is named.

    Args:
        confusion: (K, K) or (K, K + 1) counts; row = true, column = mapped, last column = no prediction
            (drawn only where there are any).
        classes: K names.

    Raises:
        LabelError: another shape.
    """
    counts = np.asarray(confusion, np.float64)
    k = len(classes)
    if counts.shape not in ((k, k), (k, k + 1)):
        raise LabelError(f"a confusion matrix of {k} classes is ({k}, {k}) or ({k}, {k + 1}), got {counts.shape}.")
    names = [one_line(name, 28) for name in classes]
    columns = [*names, "no prediction"] if counts[:, k:].any() else names
    counts = counts[:, : len(columns)]
    rows = counts.sum(1)
    percent = 100 * counts / np.maximum(rows, 1)[:, None]
    cell = 0.52 if k <= 20 else max(0.16, 11 / k)
    figure = blank(2.2 + cell * len(columns), 1.8 + cell * k)
    axes = figure.subplots()
    absent = np.repeat(rows[:, None] == 0, len(columns), 1)
    axes.imshow(np.ma.masked_array(percent, absent), cmap="Blues", vmin=0, vmax=100)
    axes.set_facecolor("#eeeeee")  # a class without test pixels has no row of its own
    small = 10.0 if k <= 20 else max(5.0, 60 * cell)
    counted = [f"{n} ({thousands(m)})" for n, m in zip(names, rows, strict=True)]
    step = math.ceil(k / MOST_NAMED)
    across, down = range(0, len(columns), step), range(0, k, step)
    axes.set_xticks(across, columns[::step], rotation=55, ha="right", rotation_mode="anchor", fontsize=small)
    axes.set_yticks(down, counted[::step], fontsize=small)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set_xlabel("mapped as" if step == 1 else f"mapped as (every {step}. class is named)")
    axes.set_ylabel("ground truth (test pixels)")
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)
    if k > MOST_NUMBERED:
        return png(figure)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    for (i, j), value in np.ndenumerate(percent):
        if value > 0:
            text = "<1" if value < 0.5 else f"{value:.0f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if value > 55 else "black")
    return png(figure)


def training_figure(training: Mapping[str, Any]) -> bytes:
    """Loss terms over the steps and, below, the validation score with its best step.

    Args:
        training: "steps" and "terms" (name -> values at these steps), "validated" (steps) and "scores".
    """
    validated = list(training.get("validated") or ())
    scores = np.asarray(training.get("scores") or (), np.float64)
    heights = [3, 2] if validated else [1]
    figure = blank(9, 5.2 if validated else 3.2)
    upper, *lower = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    _draw_terms(upper, np.asarray(training["steps"]), training["terms"])
    for axes in lower:
        best = int(np.flatnonzero(scores == np.nanmax(scores))[-1]) if np.isfinite(scores).any() else 0
        axes.plot(validated, scores, marker="o", markersize=3.5, color=LINE_COLOURS[0])
        axes.plot(validated[best], scores[best], marker="o", markersize=8, color=LINE_COLOURS[1], linestyle="none")
        axes.set_ylabel("validation score")
        axes.set_title(f"highest: {scores[best]:.4g} at step {validated[best]}", fontsize=10, loc="left")
        tidy(axes)
    (lower or [upper])[-1].set_xlabel("training step")
    return png(figure)


def _draw_terms(axes: Axes, steps: NDArray[Any], terms: Mapping[str, ArrayLike]) -> None:
    """Every term over the steps: pale as logged, and its running mean over 2 % of the steps on each side."""
    lowest = math.inf
    for i, (name, values) in enumerate(terms.items()):
        series, colour = np.asarray(values, np.float64), LINE_COLOURS[i % len(LINE_COLOURS)]
        lowest = min(lowest, float(series.min(initial=math.inf)))
        width = len(series) // 50
        at = steps[len(steps) - len(series) :]  # a term that started late has the last steps
        axes.plot(at, series, color=colour, alpha=0.25 if width > 1 else 0, linewidth=1)
        mean = _running_mean(series, width) if width > 1 else series
        axes.plot(at, mean, color=colour, linewidth=1.8, label=name)
    if 0 < lowest < math.inf:
        axes.set_yscale("log")
    axes.set_ylabel("loss")
    tidy(axes)
    if terms:
        for text in axes.legend(frameon=False, fontsize=9).get_texts():
            text.set_parse_math(False)


def spectra_figure(
    spectra: ArrayLike,
    labels: Labels,
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    *,
    wavelengths_nm: ArrayLike | None = None,
    good_bands: NDArray[np.bool_] | None = None,
) -> bytes:
    """Mean and standard deviation of the training spectra, a small chart per class.

    In every chart the means of the other classes stand in grey, all on the same axes. Of more than 24 classes those
    with most training pixels are drawn.

    Args:
        spectra, labels: (n, C) raw spectra of the training pixels, (n,) their classes 0..K-1.
        classes, colours: K names and sRGB triples.
        wavelengths_nm: (C,) band centres; the axis counts bands without them.
        good_bands: (C,) bool, bands to draw.

    Raises:
        SceneError: shapes that do not belong together.
    """
    from matplotlib.collections import LineCollection

    values = np.asarray(spectra, np.float64)
    means, spreads, counts, position = by_class(values, labels, len(classes), wavelengths_nm, good_bands)
    drawn = np.sort(np.argsort(-counts, kind="stable")[:MOST_CHARTS])
    across = min(4, max(1, math.ceil(math.sqrt(len(drawn)))))
    down = math.ceil(len(drawn) / across)
    # no layout, which would look at every chart: the numbers of one tell the room of all
    figure = blank(1 + 2.8 * across, 0.8 + 1.9 * down, layout=None)
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    _fix_limits(grid[0], position, means[drawn], spreads[drawn])  # of all; else each chart would look at all others
    lines = np.stack([np.broadcast_to(position, means[drawn].shape), means[drawn]], -1)
    for i, (axes, k) in enumerate(zip(grid, drawn, strict=False)):
        others = LineCollection(list(np.delete(lines, i, 0)), colors="#d5d5d5", linewidths=0.6)
        axes.add_collection(others, autolim=False)
        colour = tuple(c / 255 for c in colours[k])
        axes.fill_between(position, means[k] - spreads[k], means[k] + spreads[k], color=colour, alpha=0.3, linewidth=0)
        axes.plot(position, means[k], color=colour, linewidth=1.6)
        amount = f"{thousands(counts[k])} px" if counts[k] else "no training pixels"
        # with a height of its own matplotlib does not look for ticks above the chart, again and again
        axes.set_title(f"{one_line(classes[k], 30)}, {amount}", fontsize=9, loc="left", y=1.0, parse_math=False)
        tidy(axes)
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    wide, tall = figure.get_size_inches()
    if len(drawn) < len(classes):
        words = f"the {len(drawn)} of {len(classes)} classes with most training pixels"
        figure.suptitle(words, fontsize=10, y=1 - EDGE / tall)
    below = "band" if wavelengths_nm is None else "wavelength (nm)"
    figure.supxlabel(below, fontsize=10, y=EDGE / tall, va="bottom")
    figure.supylabel("value in the file", fontsize=10, x=EDGE / wide, ha="left")
    last = len(drawn) - 1
    _arrange(figure, grid[last - last % across], across, down, head=0.3 if len(drawn) < len(classes) else 0.0)
    return png(figure)


def _arrange(figure: Figure, corner: Axes, across: int, down: int, *, head: float) -> None:
    """Room for the numbers of a grid of charts, as its last one on the left shows them, and `head` inches above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    size = figure.get_size_inches()
    box = corner.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    assert box is not None
    numbers = (np.array([corner.bbox.x0 - box.x0, corner.bbox.y0 - box.y0])) / figure.dpi
    low, high = LABEL + numbers, np.array([0.1, 0.28 + head])
    gap, often = np.array([0.18, 0.32]), np.array([across, down])
    share = gap / ((size - low - high - gap * (often - 1)) / often)
    (left, bottom), (right, top), (wide, tall) = low / size, 1 - high / size, share
    figure.subplots_adjust(left=left, right=right, bottom=bottom, top=top, wspace=wide, hspace=tall)


def _fix_limits(axes: Axes, position: Numbers, means: Numbers, spreads: Numbers) -> None:
    """Limits of charts that share them: all values, and a twentieth more on each side."""
    low, high = means - spreads, means + spreads
    if np.isfinite(low).any():
        ends = ((position.min(), position.max()), (np.nanmin(low), np.nanmax(high)))
        (left, right), (bottom, top) = ((a - 0.05 * (b - a or 1), b + 0.05 * (b - a or 1)) for a, b in ends)
        axes.set(xlim=(left, right), ylim=(bottom, top))


def by_class(
    spectra: NDArray[np.float64],
    labels: NDArray[np.integer[Any]],
    n_classes: int,
    wavelengths_nm: ArrayLike | None,
    good_bands: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """(K, B) mean and standard deviation, NaN without pixels and in gaps of the wavelengths; (K,) pixels; (B,) places.

    Raises:
        SceneError, SettingError: shapes that do not belong together.
    """
    if spectra.ndim != 2 or labels.shape != spectra.shape[:1]:
        raise SceneError(f"spectra are (pixels, bands) with a label each, got {spectra.shape} and {labels.shape}.")
    bands = spectra.shape[1]
    where = np.asarray(np.arange(bands) if wavelengths_nm is None else wavelengths_nm, np.float64)
    if where.shape != (bands,) or (good_bands is not None and good_bands.shape != (bands,)):
        raise SettingError(f"wavelengths and good bands must have one entry for each of the {bands} bands.")
    order = np.argsort(where, kind="stable")  # spectrometers of one instrument may overlap
    if good_bands is not None:
        order = order[good_bands[order]]
    position = where[order]
    steps = np.diff(position)
    holes = np.flatnonzero(steps > 4 * np.median(steps)) + 1 if len(steps) else np.array([], np.intp)
    middle = (position[holes - 1] + position[holes]) / 2
    order, position = np.insert(order, holes, bands), np.insert(position, holes, middle)
    means, spreads = np.full((2, n_classes, bands + 1), np.nan)  # the last one is empty
    for k in range(n_classes):
        members = spectra[labels == k]
        if len(members):
            means[k, :-1], spreads[k, :-1] = members.mean(0), members.std(0)
    counts = np.bincount(labels[labels >= 0], minlength=n_classes)
    return means[:, order], spreads[:, order], counts, position


def _running_mean(values: Numbers, width: int) -> Numbers:
    """Mean over the values at most `width` before and after; fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - width, 0), np.minimum(index + width + 1, len(values))
    return (total[last] - total[first]) / (last - first)


def blank(width: float, height: float, *, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure of so many inches, apart from matplotlib's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")


def tidy(axes: Axes) -> None:
    """The look of all charts: two thin spines and a pale grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors="#444444", labelsize=9)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; unlike `savefig`, which draws it twice, once for its layout."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    with io.BytesIO() as file:
        canvas.print_png(file, metadata={"Software": None})
        return file.getvalue()
