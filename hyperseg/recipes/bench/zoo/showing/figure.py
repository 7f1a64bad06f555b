"""The chart of a benchmark of networks: score against what a network costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import quantiles
from typing import TYPE_CHECKING

from hyperseg.core.words import one_line
from hyperseg.recipes.bench.zoo.judging import front
from hyperseg.recipes.bench.zoo.showing.names import Box, Label, placed
from hyperseg.recipes.bench.zoo.showing.table import short
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 30  # letters of a name
WIDTH, HEIGHT = 7.0, 7.0  # inches of a panel
FAR = 1.5  # ranges of the middle half of the networks: what is further below them is far away
MARKER = 34.0  # square points of a marker
DASHES = (":", "--", "-.")


@dataclass(frozen=True)
class Point:
    """A network in the chart.

    Attributes:
        name: beside it: of the front in black, of others in grey where there is room.
        cost: above 0.
        score: the higher the better.
        peer: not ours: it has another marker.
    """

    name: str
    cost: float
    score: float
    peer: bool = False


def front_figure(
    panels: Sequence[tuple[str, Sequence[Point]]], *, floors: Sequence[tuple[str, float]], unit: str
) -> bytes:
    """Score against a cost on a logarithmic axis, a panel for each cost, names beside the points; a PNG file.

    Args:
        panels: (what the cost is, points).
        floors: (name, score) of baselines, drawn as lines; networks far below all of them, and below most others,
            stand at the lower edge, with their score beside the name.
        unit: of the score.
    """
    lowest = _lowest([score for _, score in floors], [p.score for _, points in panels for p in points])
    figure = blank(WIDTH * max(len(panels), 1), HEIGHT)
    every = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    drawn: list[list[Point]] = []
    for nth, (axes, (cost, points)) in enumerate(zip(every, panels, strict=False)):
        points = [_raised(point, lowest) for point in points]
        drawn.append(points)
        _draw(axes, points)
        for n, (name, score) in enumerate(floors):
            axes.axhline(score, color=QUIET, linewidth=1.1, linestyle=DASHES[n % len(DASHES)], label=name, zorder=1)
        axes.set(xscale="log", xlabel=f"{cost} (logarithmic)")
        _told_costs(axes)
        if nth == 0:
            axes.set_ylabel(unit)
        tidy(axes)
    handles, labels = every[0].get_legend_handles_labels()
    if handles:
        legend = figure.legend(handles, labels, loc="outside upper left", ncols=6, fontsize=8, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    _named(figure, every, drawn)
    return png(figure)


def _lowest(floors: Sequence[float], scores: Sequence[float]) -> float:
    """The lowest score that is drawn where it is: below the lowest line by a fifth of what the best is above it, or,
    where that is lower, one and a half times the range of the middle half of the networks below that half.
    """
    if not floors or len(scores) < 2:
        return -math.inf
    low, _, high = quantiles(scores, n=4, method="inclusive")
    lines = min(floors) - max(max(scores) - min(floors), 0.0) / 5
    return min(lines, low - FAR * (high - low))


def _raised(point: Point, lowest: float) -> Point:
    if point.score >= lowest:
        return point
    return replace(point, name=f"{one_line(point.name, LONGEST)} ({point.score:.3g})", score=lowest)


def _told_costs(axes: Axes) -> None:
    """Costs along the axis in words, at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: short(int(cost)) if cost >= 1000 else f"{cost:g}"))


def _named(figure: Figure, every: Sequence[Axes], panels: Sequence[Sequence[Point]]) -> None:
    """Names beside the points of all panels, whose places are known when all else is laid out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    for axes, points in zip(every, panels, strict=False):
        best = set(front([(p.cost, p.score) for p in points]))
        texts, labels = [], []
        for point in sorted(points, key=lambda p: -p.score):
            fronts = (point.cost, point.score) in best
            size, colour = (8, "black") if fronts else (7, QUIET)
            text = figure.text(
                0, 0, one_line(point.name, LONGEST + 8), fontsize=size, color=colour, transform=None, in_layout=False,
                zorder=4,
            )  # fmt: skip
            text.set_parse_math(False)
            extent = text.get_window_extent(renderer)
            x, y = axes.transData.transform((point.cost, point.score))
            texts.append(text)
            labels.append(Label(x, y, extent.width, extent.height, must=fronts))
        radius = MARKER**0.5 / 2 * figure.dpi / 72
        chart = Box(*axes.bbox.extents)
        for text, place in zip(texts, placed(labels, chart, radius=radius), strict=True):
            if place is None:
                text.remove()
            else:
                text.set_position(place)


def _draw(axes: Axes, points: Sequence[Point]) -> None:
    ours, others = (False, "o", LINE_COLOURS[0], "hyperseg"), (True, "^", LINE_COLOURS[1], "MONAI")
    for peer, marker, colour, label in (ours, others):
        mine = [point for point in points if point.peer == peer]
        if mine:
            costs, scores = [p.cost for p in mine], [p.score for p in mine]
            axes.scatter(costs, scores, s=MARKER, marker=marker, color=colour, label=label, zorder=3)
    best = front([(p.cost, p.score) for p in points])
    if best:
        axes.plot(*zip(*best, strict=True), color="black", linewidth=2.2, alpha=0.35, drawstyle="steps-post",
                  label="none better at no more cost", zorder=2)  # fmt: skip
