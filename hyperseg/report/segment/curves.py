"""Charts of a training by folds: what was learnt when, and how the cases spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hyperseg.core.words import counted, one_line
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy
from hyperseg.report.segment.slices import colours_of

SMOOTH = 25  # of so many values that are drawn each is the mean of
LONGEST = 24  # letters of a name on an axis
SPREAD = 0.32  # of the room of a class that its points take


@dataclass(frozen=True)
class Curve:
    """How one network learnt.

    Attributes:
        name: of the line.
        loss_at, loss: minutes, and the sum of all loss terms then.
        dice_at, dice: minutes, and mean foreground Dice of patches of the validation cases then.
    """

    name: str
    loss_at: Sequence[float]
    loss: Sequence[float]
    dice_at: Sequence[float]
    dice: Sequence[float]


def learning_figure(curves: Sequence[Curve]) -> bytes:
    """Loss and validation Dice against minutes of training, a line per network; a PNG file."""
    figure = blank(9, 3.4)
    left, right = figure.subplots(1, 2)
    for i, curve in enumerate(curves):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        loss = np.asarray(curve.loss, np.float64)
        width = max(1, len(loss) // SMOOTH)
        if width > 1:
            left.plot(curve.loss_at, loss, color=colour, alpha=0.18, linewidth=0.8)
            loss = _means(loss, width)
        left.plot(curve.loss_at, loss, color=colour, linewidth=1.6)
        few = "." if len(curve.dice) <= 50 else None
        right.plot(curve.dice_at, curve.dice, color=colour, linewidth=1.6, marker=few, label=curve.name)
    left.set_ylabel("loss", fontsize=10)
    right.set_ylabel("Dice of validation patches", fontsize=10)
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("minutes of training", fontsize=10)
        axes.set_xlim(left=0)
        tidy(axes)
    right.legend(fontsize=9, frameon=False, loc="best")
    return png(figure)


def dice_figure(cases: Mapping[str, Sequence[float]], *, unit: str = "Dice") -> bytes:
    """A point for every case, in a row for every class, and the mean; a PNG file.

    Args:
        cases: name of a class -> values of its cases, NaN for those without it.
        unit: what the values are.
    """
    figure = blank(9, 0.9 + 0.55 * len(cases))
    axes = figure.subplots()
    titles, colours = [], colours_of(tuple(cases))  # those of the slices
    for row, (name, given) in enumerate(cases.items()):
        values = np.asarray(given, np.float64)
        values = np.sort(values[np.isfinite(values)])
        titles.append(f"{one_line(name, LONGEST)}, {counted(len(values), 'case')}")
        if not len(values):
            continue
        # evenly up and down in the order of the values: every point is seen, and nothing is drawn by chance
        places = row + SPREAD * np.resize([0.0, 0.5, -0.5, 1.0, -1.0, 0.25, -0.75, 0.75, -0.25], len(values))
        axes.plot(values, places, ".", color=np.array(colours[row]) / 255, alpha=0.7, markersize=6)
        mean = float(values.mean())
        axes.plot([mean, mean], [row - 0.42, row + 0.42], color="black", linewidth=2)
        axes.annotate(f"{mean:.3f}", (mean, row - 0.42), ha="center", va="bottom", fontsize=9)
    axes.set_yticks(range(len(titles)), titles, fontsize=9)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(titles) - 0.5, -0.75)
    axes.set_xlim(-0.01, 1.01)
    axes.set_xlabel(unit, fontsize=10)
    tidy(axes)
    axes.tick_params(axis="y", length=0, labelcolor="black")
    axes.axvline(0, color=QUIET, linewidth=0.8)
    return png(figure)


def _means(values: np.ndarray, width: int) -> np.ndarray:
    """Of each value and the nearest `width` on both sides."""
    total = np.cumsum(np.concatenate([[0.0], values]))
    at = np.arange(len(values))
    low, high = np.maximum(at - width, 0), np.minimum(at + width + 1, len(values))
    found: np.ndarray = (total[high] - total[low]) / (high - low)
    return found
