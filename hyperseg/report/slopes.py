"""How steep losses of overlap are: the gradient of Dice and of Cos-Dice over the soft Dice that is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POWERS = (1.0, 1.7, 2.0, 3.0)  # 1 is refused as a setting: it shows why
DEFAULT_POWER = 1.7
START, END = 0.15, 0.85  # of these overlaps a start and an end of training are shaded, by eye


def slopes_of(
    powers: Sequence[float] = POWERS, *, values: int = 501
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Soft Dice from 0 to 1, and the absolute gradient of every loss there, by its automatic differentiation.

    Args:
        powers: Q of Cos-Dice.
        values: how many points.
    """
    import torch

    from hyperseg.losses.cosdice import cos_dice

    found = {"Dice, 1 - DSC": np.ones(values)}
    dsc = torch.linspace(0, 1, values, dtype=torch.float64, requires_grad=True)
    for q in powers:
        (slope,) = torch.autograd.grad(cos_dice(dsc, q).sum(), dsc)
        found[f"Cos-Dice, Q = {q:g}"] = slope.abs().numpy()
    return dsc.detach().numpy(), found


def slopes_figure(powers: Sequence[float] = POWERS) -> bytes:
    """A PNG of the gradients over soft Dice, and beside it the same near the optimum on logarithmic axes."""
    figure = blank(8.6, 3.5)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    dsc, slopes = slopes_of(powers)
    draw_slopes(left, dsc, slopes)
    _draw_end(right, dsc, slopes)
    return png(figure)


def draw_slopes(axes: Axes, dsc: NDArray[np.float64], slopes: Mapping[str, NDArray[np.float64]]) -> None:
    """The gradients on axes that are there, with what they mean at the start and at the end of a training."""
    _lines(axes, dsc, slopes)
    axes.axvspan(0, START, color="#d55e00", alpha=0.08, linewidth=0)
    axes.axvspan(END, 1, color="#009e73", alpha=0.08, linewidth=0)
    top = max(float(slope.max()) for slope in slopes.values())
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * top))
    for x, words, side in ((0.01, "start: weak", "left"), (0.99, "end: damped", "right")):
        axes.text(x, 1.27 * top, words, fontsize=9, ha=side, va="top", color="#444444")
    axes.set_xlabel("soft Dice (DSC) that is reached")
    axes.set_ylabel("gradient, |dL / dDSC|")
    axes.legend(frameon=True, edgecolor="none", framealpha=0.9, fontsize=8, loc="lower center")


def _draw_end(axes: Axes, dsc: NDArray[np.float64], slopes: Mapping[str, NDArray[np.float64]]) -> None:
    """The last hundredths: on logarithmic axes the gradient is a line of slope Q - 1."""
    _lines(axes, 1 - dsc[:-1], {name: slope[:-1] for name, slope in slopes.items()})
    axes.set(xscale="log", yscale="log", xlim=(0.3, 2e-3), ylim=(1e-5, 3))
    axes.set_xlabel("what is lacking, 1 - DSC")


def _lines(axes: Axes, x: NDArray[np.float64], slopes: Mapping[str, NDArray[np.float64]]) -> None:
    for i, (name, slope) in enumerate(slopes.items()):
        plain = i == 0
        bold = name.endswith(f"= {DEFAULT_POWER:g}")
        colour = QUIET if plain else LINE_COLOURS[(i - 1) % len(LINE_COLOURS)]
        axes.plot(x, slope, color=colour, linestyle="--" if plain else "-", linewidth=2.6 if bold else 1.5, label=name)
    tidy(axes)
