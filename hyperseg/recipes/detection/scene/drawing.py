"""Pictures of a search for targets: where they may be, and how much was found of those that were implanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.recipes.detection.scene.candidates import Candidates
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.report.charts import blank, png, tidy
from hyperseg.report.pictures import false_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARK, TRUTH, KNOWN, OTHER = "#ff3b30", "#35e0ff", "#7dff4d", "#7f7f7f"
PICTURE_PX = 900
NUMBERED = 30  # candidates whose rank is written beside them, at most
ROOM = 0.035  # of the picture's longer side: a number that is nearer to another one is left out
Z = 1.96  # standard deviations of a 95 % interval


def draw_targets(
    scene: Scene, score: NDArray[np.floating], found: Candidates, *, title: str, truth: Mask | None = None,
    known: Mask | None = None,
) -> bytes:  # fmt: skip
    """A PNG: the scene in false colour with the candidates marked, and beside it the map that they were taken from.

    Args:
        score: (H, W) NaN without data.
        title: what made it.
        truth, known: (H, W) bool pixels of real targets, and those that the target's spectrum was taken from: outlined.
    """
    step = -(-max(scene.shape) // PICTURE_PX)
    rows, columns = (-(-n // step) for n in scene.shape)
    scale = 4.6 / max(rows, columns)
    figure = blank(2 * max(columns * scale, 2.4) + 1.2, max(rows * scale, 1.6) + 0.9)
    left, right = figure.subplots(1, 2)
    left.imshow(false_colour(scene, step=step), interpolation="nearest")
    n = len(found.scores)
    left.set_title(
        f"{n} candidate{'' if n == 1 else 's'}, best first" if n else "no candidate", fontsize=9.5, loc="left"
    )
    small = np.asarray(score)[::step, ::step]
    there = small[np.isfinite(small)]
    top = float(np.percentile(there, 99.9)) if there.size else 1.0
    shown = right.imshow(small, cmap="inferno", vmin=0, vmax=max(top, 1e-6), interpolation="nearest")
    right.set_facecolor("#808080")
    figure.colorbar(shown, ax=right, shrink=0.85)
    right.set_title(f"{title}: what made the list", fontsize=9.5, loc="left", parse_math=False)
    asked = None if truth is None else truth if known is None else truth & ~known
    outlined = [(mask, colour) for mask, colour in ((asked, TRUTH), (known, KNOWN)) if mask is not None and mask.any()]
    at = (found.centres - 0.5) / step
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
        for mask, colour in outlined:
            axes.contour(mask[::step, ::step], [0.5], colors=colour, linewidths=0.9)
        axes.plot(
            at[:, 1], at[:, 0], "o", mfc="none", mec=MARK, ms=8, mew=1.2 if axes is left else 0.7, linestyle="none"
        )
    _number(left, at, ROOM * max(rows, columns))
    _explain(figure, [colour for _, colour in outlined])
    return png(figure)


def draw_expected(shares: dict[str, list[dict[str, Any]]], *, rate: float) -> bytes:
    """A PNG: share of the implanted targets found by the share of a pixel they cover; the first stands out."""
    figure = blank(6.4, 3.6)
    axes = figure.subplots()
    for k, ((name, rows), colour) in enumerate(zip(shares.items(), (MARK, OTHER), strict=False)):
        x = np.array([(row["from"] + row["to"]) / 2 for row in rows]) + 0.004 * k  # bars of both are seen
        p, n = np.array([row["found"] for row in rows]), np.array([row["targets"] for row in rows])
        low, high = wilson(p, n)
        axes.errorbar(
            x, 100 * p, 100 * np.clip([p - low, high - p], 0, 1), color=colour, marker="o", ms=4.5, lw=1.6, capsize=2,
            label=name,
        )  # fmt: skip
    axes.set_xlabel("share of its fullest pixel that a target covers", fontsize=9)
    axes.set_ylabel(f"targets found (%) at {rate:g}\nfalse alarms in 10,000 pixels", fontsize=9)
    axes.set_ylim(-2, 102)
    tidy(axes)
    legend = figure.legend(fontsize=8.5, frameon=False, loc="outside upper left", ncols=2)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return png(figure)


def wilson(share: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper end of the 95 % interval of a share that was counted in n cases; 0 and 1 have a width too.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def _number(axes: Axes, at: NDArray[np.float64], room: float) -> None:
    """Ranks beside the best candidates, but for those too near to a better one's."""
    from matplotlib.patheffects import withStroke

    written: list[NDArray[np.float64]] = []
    for i, place in enumerate(at[:NUMBERED], start=1):
        if all(np.hypot(*(place - other)) > room for other in written):
            written.append(place)
            axes.annotate(
                str(i), (place[1], place[0]), (5, 3), textcoords="offset points", color="white", fontsize=7.5,
                path_effects=[withStroke(linewidth=1.6, foreground="black")],
            )  # fmt: skip


def _explain(figure: Figure, outlined: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    meant = {KNOWN: "pixels that the target's spectrum was taken from", TRUTH: "other pixels known to be targets"}
    said = [Line2D([], [], marker="o", mfc="none", mec=MARK, ls="none", label="candidate")]
    said += [Line2D([], [], color=colour, label=meant[colour]) for colour in outlined]
    figure.legend(
        handles=said,
        loc="outside lower left",
        ncols=3,
        fontsize=8.5,
        frameon=True,
        facecolor="#cfcfcf",
        edgecolor="none",
    )
