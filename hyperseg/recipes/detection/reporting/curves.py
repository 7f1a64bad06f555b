"""FROC curves of several detectors, and how they learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hyperseg.metrics.froc import RATES, Froc
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

SMOOTH = 25


def froc_figure(curves: Mapping[str, Froc]) -> bytes:
    """Sensitivity against false positives per scan, a line for each detector; a PNG file."""
    figure = blank(7.2, 3.8)
    axes = figure.subplots()
    low, high = RATES[0] / 1.3, RATES[-1] * 1.3
    for i, (name, froc) in enumerate(curves.items()):
        colour, points = LINE_COLOURS[i % len(LINE_COLOURS)], froc.curve
        rates = np.unique(np.concatenate([points.rates[(points.rates > low) & (points.rates < high)], [low, high]]))
        axes.plot(
            rates, [points.at(rate) for rate in rates], color=colour, linewidth=1.8, label=f"{name}, CPM {froc.cpm:.3f}"
        )
        axes.plot(froc.rates, froc.sensitivities, color=colour, linestyle="none", marker="o", markersize=4.5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.02)
    axes.grid(color=QUIET, alpha=0.2)
    axes.set_xlabel("false positives per scan", fontsize=10)
    axes.set_ylabel("share of the objects that is found", fontsize=10)
    tidy(axes)
    axes.legend(fontsize=9, frameon=False, loc="best")
    return png(figure)


def loss_figure(histories: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Loss terms of each detector against steps, running means; a PNG file."""
    figure = blank(8, 3.0)
    panels = figure.subplots(1, len(histories), squeeze=False)[0]
    for axes, (name, history) in zip(panels, histories.items(), strict=True):
        for i, (term, values) in enumerate(history["losses"].items()):
            found = np.asarray([np.nan if v is None else v for v in values], np.float64)
            width = max(1, len(found) // SMOOTH)
            axes.plot(history["at"], _means(found, width), color=LINE_COLOURS[i % len(LINE_COLOURS)], label=term)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("steps", fontsize=9)
        axes.set_ylabel("loss", fontsize=9)
        axes.set_ylim(bottom=0)
        tidy(axes)
        axes.legend(fontsize=8, frameon=False)
    return png(figure)


def _means(values: Any, width: int) -> Sequence[float]:
    """The mean of so many values up to each; fewer at the start."""
    found = []
    for i in range(len(values)):
        part = values[max(0, i - width + 1) : i + 1]
        part = part[np.isfinite(part)]
        found.append(float(part.mean()) if len(part) else float("nan"))
    return found
