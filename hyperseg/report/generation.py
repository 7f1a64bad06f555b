"""Charts of a benchmark of samplers: quality against the number of network calls, and what was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.words import one_line
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MORE_COLOURS = ("#999933", "#882255", "#44aa99", "#661100", "#888888")  # families are more than other charts have
MARKS = "osD^vPX<>hpd8"
LONGEST = 34  # letters of a name
FEW = 14  # lines that an eye can tell apart
LETTER = 0.065  # inches of a letter beside a row of samples
GAP = 10  # one part of so many between pictures is white
FRONT = "none better at fewer calls"


@dataclass(frozen=True)
class Line:
    """A method in the chart.

    Attributes:
        name: in the legend.
        family: of many lines the first of each is told apart.
        points: (calls, distance), both above 0.
        chosen: drawn with stars: the steps were chosen by dynamic programming.
    """

    name: str
    family: str
    points: tuple[tuple[float, float], ...]
    chosen: bool = False


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats with as few calls: by rising calls, falling distance."""
    found: list[tuple[float, float]] = []
    for calls, distance in sorted(points):
        if not found or distance < found[-1][1]:
            found.append((calls, distance))
    return found


def pareto_figure(lines: Sequence[Line], *, unit: str, floor: float | None = None) -> bytes:
    """Distance against calls, both on a logarithmic scale, a line for each method, most of many in grey; a PNG file.

    Args:
        lines: in the order of the legend.
        unit: what the distance is called.
        floor: that of held-out real data, drawn as a line, or None.
    """
    figure = blank(12, 6.5)
    axes = figure.subplots()
    best = front([point for line in lines for point in line.points])
    told = _told(lines, best)
    others = [line for line in lines if line not in told]
    for line in others:
        axes.plot(*zip(*line.points, strict=True), color=QUIET, linewidth=0.9, alpha=0.45, zorder=1)
    colours = (*LINE_COLOURS, *MORE_COLOURS)
    for nth, line in enumerate(told):
        mark, size = ("*", 10.0) if line.chosen else (MARKS[nth % len(MARKS)], 5.0)
        axes.plot(
            *zip(*line.points, strict=True), color=colours[nth % len(colours)], marker=mark, markersize=size,
            linewidth=1.4, linestyle="--" if line.chosen else "-", label=one_line(line.name, LONGEST),
        )  # fmt: skip
    if others:
        axes.plot([], [], color=QUIET, alpha=0.45, label=f"thin grey lines: the other {len(others)}")
    if best:
        axes.plot(*zip(*best, strict=True), color="black", linewidth=2.6, alpha=0.4, drawstyle="steps-post",
                  label=f"thick grey line: {FRONT}", zorder=1)  # fmt: skip
    if floor is not None and floor > 0:
        axes.axhline(floor, color=QUIET, linewidth=1.2, linestyle=":", label="held-out real data")
    axes.set(xscale="log", yscale="log", xlabel="network calls for a sample (NFE)", ylabel=f"{unit} (lower is better)")
    _plain_ticks(axes, [x for line in lines for x, _ in line.points])
    tidy(axes)
    if lines:
        legend = axes.figure.legend(loc="outside right upper", fontsize=8.5, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return png(figure)


def _told(lines: Sequence[Line], best: Sequence[tuple[float, float]]) -> list[Line]:
    """The lines to tell apart: all of few; of many those on the front, the first of each family, and stars."""
    if len(lines) <= FEW:
        return list(lines)
    first = {line.family: line for line in reversed(lines)}
    return [line for line in lines if line.chosen or first[line.family] is line or set(line.points) & set(best)]


def _plain_ticks(axes: Axes, calls: Sequence[float]) -> None:
    """1, 2, 5, 10, ... instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    if calls:
        axes.set_xlim(min(calls) / 1.15, max(calls) * 1.15)


def samples_figure(rows: Mapping[str, NDArray[Any]]) -> bytes:
    """A row of small pictures for every name; a PNG file.

    Args:
        rows: name -> (n, h, w) grey or (n, h, w, 3) values 0..255; all of one size.
    """
    strips = {name: _strip(np.asarray(pictures, np.uint8)) for name, pictures in rows.items()}
    names = {name: one_line(name, 44) for name in rows}
    tall, wide = next(iter(strips.values())).shape[:2]
    width, margin = 5.0, LETTER * max(map(len, names.values())) + 0.15
    each = width * tall / wide
    figure = blank(width + margin, each * len(strips), layout=None)
    for at, (name, strip) in enumerate(strips.items()):
        height = 1 / len(strips)
        axes = figure.add_axes((margin / (width + margin), 1 - (at + 1) * height, width / (width + margin), height))
        axes.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        figure.text(
            (margin - 0.08) / (width + margin), 1 - (at + 0.5) * height, names[name], ha="right", va="center",
            fontsize=8, parse_math=False,
        )  # fmt: skip
    return png(figure)


def _strip(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures side by side, white between and below."""
    gap = max(1, -(-pictures.shape[2] // GAP))
    room = ((0, 0), (0, gap), (0, gap), *((0, 0) for _ in pictures.shape[3:]))
    return np.concatenate(list(np.pad(pictures, room, constant_values=255)), axis=1)[:, :-gap]
