"""What a detector finds at the price of how many false alarms: FROC curves of several detectors over their seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hyperseg.core import SettingError
from hyperseg.core.words import number, one_line
from hyperseg.metrics.froc import RATES, Curve
from hyperseg.report.charts import LINE_COLOURS, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTION = (
    "Share of the objects found (upwards) over false positives per scan (to the right, each step twice as many). Dots "
    "stand at the seven rates whose mean is the CPM. A line is the mean over trainings, the shade around it one "
    "standard deviation of them."
)
POINTS = 241  # of a line
NAME = 40  # letters in the legend


def froc_figure(curves: Mapping[str, Sequence[Curve]], *, title: str = "") -> bytes:
    """A PNG of the curves; see `draw_froc`.

    Raises:
        SettingError: as `draw_froc`.
    """
    figure = blank(6.4, 4.4)
    axes = figure.subplots()
    draw_froc(axes, curves)
    if title:
        axes.set_title(one_line(title, 80), fontsize=10, loc="left", parse_math=False)
    return png(figure)


def draw_froc(axes: Axes, curves: Mapping[str, Sequence[Curve]]) -> None:
    """Sensitivity from 1/8 to 8 false positives per scan on axes that are there, a line for every detector.

    Args:
        curves: name -> the curve of every seed (`hyperseg.metrics.froc`), at least one. Several are drawn as their mean
            with a standard deviation (n - 1) on each side; the legend has the CPM in the same way.

    Raises:
        SettingError: no detector, or one without a curve.
    """
    if not curves or not all(len(of_seeds) for of_seeds in curves.values()):
        raise SettingError(f"a chart of FROC needs detectors with a curve each, got {dict.fromkeys(curves)}.")
    rates = np.geomspace(RATES[0], RATES[-1], POINTS)
    rates[:: (POINTS - 1) // (len(RATES) - 1)] = RATES  # exactly: curves are steps
    for i, (name, of_seeds) in enumerate(curves.items()):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        values, marked = (np.array([[c.at(r) for r in at] for c in of_seeds]) for at in (rates, RATES))
        cpm = marked.mean(1)
        said = number(float(cpm.mean()), 3)
        if len(of_seeds) > 1:
            mean, spread = values.mean(0), values.std(0, ddof=1)
            low, high = (mean - spread).clip(0, 1), (mean + spread).clip(0, 1)
            axes.fill_between(rates, low, high, color=colour, alpha=0.18, linewidth=0)
            said += f" ± {number(float(cpm.std(ddof=1)), 3)}"
        label = f"{one_line(name, NAME)}, CPM {said}"
        axes.plot(rates, values.mean(0), color=colour, linewidth=1.5, label=label)
        axes.plot(RATES, marked.mean(0), color=colour, marker="o", markersize=4.5, linestyle="none", clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xticks([], minor=True)
    axes.set(xlim=(RATES[0], RATES[-1]), ylim=(0, 1))
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity: share of the objects found")
    tidy(axes)
    legend = axes.legend(frameon=True, edgecolor="none", framealpha=0.9, fontsize=8, loc="best")
    for text in legend.get_texts():
        text.set_parse_math(False)
