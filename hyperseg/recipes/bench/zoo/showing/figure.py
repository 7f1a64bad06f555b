"""The chart of a benchmark of networks: score against what a network costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperseg.core.words import one_line
from hyperseg.recipes.bench.zoo.judging import front
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 30  # letters of a name
DASHES = (":", "--", "-.")


@dataclass(frozen=True)
class Point:
    """A network in the chart.

    Attributes:
        name: beside it where it is on the front.
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
    """Score against a cost on a logarithmic axis, a panel for each cost, names at the points of the front; a PNG file.

    Args:
        panels: (what the cost is, points).
        floors: (name, score) of baselines, drawn as lines.
        unit: of the score.
    """
    figure = blank(6.5 * max(len(panels), 1), 5.5)
    every = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    for nth, (axes, (cost, points)) in enumerate(zip(every, panels, strict=False)):
        _draw(axes, points)
        for n, (name, score) in enumerate(floors):
            axes.axhline(score, color=QUIET, linewidth=1.1, linestyle=DASHES[n % len(DASHES)], label=name, zorder=1)
        axes.set(xscale="log", xlabel=f"{cost} (logarithmic)")
        if nth == 0:
            axes.set_ylabel(unit)
        tidy(axes)
    handles, labels = every[0].get_legend_handles_labels()
    if handles:
        legend = figure.legend(handles, labels, loc="outside upper left", ncols=6, fontsize=8, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return png(figure)


def _draw(axes: Axes, points: Sequence[Point]) -> None:
    ours, others = (False, "o", LINE_COLOURS[0], "hyperseg"), (True, "^", LINE_COLOURS[1], "MONAI")
    for peer, marker, colour, label in (ours, others):
        mine = [point for point in points if point.peer == peer]
        if mine:
            costs, scores = [p.cost for p in mine], [p.score for p in mine]
            axes.scatter(costs, scores, s=34, marker=marker, color=colour, label=label, zorder=3)
    best = front([(p.cost, p.score) for p in points])
    if best:
        axes.plot(*zip(*best, strict=True), color="black", linewidth=2.2, alpha=0.35, drawstyle="steps-post",
                  label="none better at no more cost", zorder=2)  # fmt: skip
    for point in points:
        if (point.cost, point.score) in best:
            text = axes.annotate(
                one_line(point.name, LONGEST), (point.cost, point.score), xytext=(4, 5), textcoords="offset points",
                fontsize=8,
            )  # fmt: skip
            text.set_parse_math(False)
