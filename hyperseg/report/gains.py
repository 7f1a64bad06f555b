"""The chart of a benchmark of tricks: what each gains, and the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hyperseg.core.words import one_line
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

LONGEST = 40  # letters of a name
BAND = "#e4e4e4"


@dataclass(frozen=True)
class Bar:
    """A row of the chart.

    Attributes:
        name: beside it.
        gain, half: mean, and half the width of its interval.
        told: it exceeds the noise; others are pale.
        apart: a line stands above it.
    """

    name: str
    gain: float
    half: float
    told: bool
    apart: bool = False


def gains_figure(bars: Sequence[Bar], *, line: float, unit: str) -> bytes:
    """The gains of all rows with their intervals over the band of the noise; a PNG file.

    Args:
        bars: from top to bottom.
        line: of the noise; the band reaches as far to either side.
        unit: of the gains, for the axis.
    """
    figure = blank(8, 1.4 + 0.3 * max(len(bars), 1))
    axes = figure.subplots()
    axes.axvspan(-line, line, color=BAND, zorder=0, label="noise: the baseline with other seeds (95 %)")
    axes.axvline(0, color=QUIET, linewidth=0.9, zorder=1)
    for place, bar in enumerate(bars):
        colour = LINE_COLOURS[0 if bar.gain > 0 else 1] if bar.told else QUIET
        axes.errorbar(bar.gain, place, xerr=bar.half, color=colour, fmt="o", markersize=5, capsize=3, zorder=3)
        if bar.apart and place:
            axes.axhline(place - 0.5, color=QUIET, linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(bars)), [one_line(bar.name, LONGEST) for bar in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlabel(unit)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", fontsize=8, frameon=False)
    return png(figure)
