"""Charts of how good and how honest networks are: reliability, what calls and samples buy, what doubt tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy
from hyperseg.report.reliability import draw_reliability

BY = {"calls": "network calls of a sample", "samples": "samples"}


@dataclass(frozen=True)
class Honesty:
    """What is drawn of one network.

    Attributes:
        name: of the line.
        bins: rows of `Reliability.rows`.
        dice: mean Dice.
        dice_by: "calls" and "samples" -> number -> mean Dice; empty for networks that do not draw.
        auroc: name of a doubt -> how well it tells wrong pixels from right ones.
    """

    name: str
    bins: Sequence[Mapping[str, Any]]
    dice: float
    auroc: Mapping[str, float]
    dice_by: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def honesty_figure(networks: Sequence[Honesty]) -> bytes:
    """Reliability, mean Dice over calls and over samples where something was drawn, and AUROC of doubts; a PNG file."""
    over = [what for what in BY if any(len(one.dice_by.get(what, ())) > 1 for one in networks)]
    figure = blank(4.4 * (2 + len(over)), 4.2)
    first, *middle, last = figure.subplots(1, 2 + len(over))
    draw_reliability(first, {one.name: one.bins for one in networks})
    first.set_title("reliability", fontsize=11)
    for axes, what in zip(middle, over, strict=True):
        _draw_dice(axes, networks, what)
    _draw_auroc(last, networks)
    return png(figure)


def _draw_dice(axes: Any, networks: Sequence[Honesty], what: str) -> None:
    """Mean Dice over a number; who does not draw is a dashed line."""
    for i, one in enumerate(networks):
        colour, ways = LINE_COLOURS[i % len(LINE_COLOURS)], one.dice_by.get(what, {})
        if ways:
            at = sorted(ways, key=int)
            axes.plot(
                [int(n) for n in at], [ways[n] for n in at], color=colour, marker="o", markersize=4, label=one.name
            )
        else:
            axes.axhline(one.dice, color=colour, linestyle="--", linewidth=1.2, label=one.name)
    ticks = sorted({int(n) for one in networks for n in one.dice_by.get(what, ())})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()
    axes.set_xlabel(BY[what], fontsize=10)
    axes.set_ylabel("mean Dice", fontsize=10)
    axes.set_title(f"Dice by {what}", fontsize=11)
    tidy(axes)
    axes.legend(frameon=False, fontsize=9)


def _draw_auroc(axes: Any, networks: Sequence[Honesty]) -> None:
    """Bars, a group for every doubt; at 0.5 it tells nothing."""
    doubts = list(dict.fromkeys(name for one in networks for name in one.auroc))
    width = 0.8 / len(networks)
    for i, one in enumerate(networks):
        known = [(at, one.auroc[name]) for at, name in enumerate(doubts) if np.isfinite(one.auroc.get(name, np.nan))]
        places = [at + (i - (len(networks) - 1) / 2) * width for at, _ in known]
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        axes.bar(places, [value for _, value in known], 0.9 * width, color=colour, label=one.name)
    axes.axhline(0.5, color=QUIET, linestyle="--", linewidth=1)
    axes.set_xticks(range(len(doubts)), doubts, fontsize=9)
    axes.set_xlim(-0.6, len(doubts) - 0.4)
    axes.set_ylim(0, 1)
    axes.set_ylabel("AUROC of wrong pixels", fontsize=10)
    axes.set_title("does doubt tell errors?", fontsize=11)
    tidy(axes)
