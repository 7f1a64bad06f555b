"""How detectors learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hyperseg.report.charts import LINE_COLOURS, blank, png, tidy

SMOOTH = 25  # of so many values that are drawn each is the mean of


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
