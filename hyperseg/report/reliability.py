"""Whether a map is right as often as it says: the reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg.core.words import counted, listed, number, percent
from hyperseg.report.charts import LINE_COLOURS, QUIET, blank, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CAPTION = (
    "Reliability on the test pixels: how many are right (upwards) among those of about one confidence (to the right). "
    "On the dashed line the map is right as often as it says; below it, it promises too much. The larger a dot, the "
    "more test pixels it stands for."
)
FEW_UNITS = 8  # our choice of when a reader is told
LARGEST_DOT = 500  # square points, for all pixels in one bin


def reliability_figure(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Accuracy over confidence, a line for every table.

    Args:
        tables: name -> rows of `hyperseg.metrics.calibration.Reliability.rows`.
    """
    figure = blank(5.4, 5.0)
    draw_reliability(figure.subplots(), tables)
    return png(figure)


def draw_reliability(axes: Axes, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """The same on axes that are there."""
    axes.plot([0, 100], [0, 100], color=QUIET, linestyle="--", linewidth=1)
    for i, (name, rows) in enumerate(tables.items()):
        there = [row for row in rows if row["pixels"]]
        x, y, share = (np.array([row[key] for row in there]) for key in ("confidence", "accuracy", "share"))
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        axes.plot(x, y, color=colour, linewidth=1.4, marker="o", markersize=3, label=name)
        axes.scatter(x, y, s=LARGEST_DOT * share / 100, color=colour, alpha=0.35, linewidths=0, clip_on=False)
    axes.set(xlim=(0, 101), ylim=(0, 101), aspect="equal")
    axes.set_xlabel("confidence: what the map says (%)")
    axes.set_ylabel("accuracy: how many are right (%)")
    tidy(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper left")


def temperature_sentences(numbers: Mapping[str, Any]) -> list[str]:
    """What a temperature is, what it was fitted to and what it did.

    Args:
        numbers: "temperature" (None: not fitted), "ece" in percent "before" and "after"; where it was fitted "pixels",
            "units", "held_out" ("whole" parcels, "strips" of them or "single" pixels), "trainings", and "without": the
            classes of which nothing was held out.
    """
    ece, temperature = numbers["ece"], numbers["temperature"]
    error = (
        "The expected calibration error (ECE) is the mean gap between what the map says of a pixel, its confidence, "
        "and how often it is right"
    )
    if temperature is None:
        return [
            "No labelled pixel was held out from training to fit a temperature to, so the confidence stands as the "
            "method states it.",
            f"{error}; on the test pixels it is {percent(ece['before'])}.",
        ]
    found = [f"{_effect(temperature)} No class of the map changes."]
    if numbers.get("pixels"):
        found.append(_source(numbers))
    if numbers.get("held_out") == "whole" and numbers["units"] < FEW_UNITS:
        found.append(f"{counted(numbers['units'], 'parcel')} cannot tell much: it was kept near what is usual.")
    if names := numbers.get("without"):
        found.append(f"Nothing was held out of {listed(names)}: it takes them to be as surely right as the others.")
    found.append(
        f"{error}: on the test pixels {percent(ece['before'])} before and {percent(ece['after'])} after. Fields are "
        "right or wrong as wholes, so that with few of them in the test it is never near 0, however good the "
        "confidence."
    )
    return found


def _effect(temperature: float) -> str:
    power = f"to the power 1 / {number(temperature, 2)}"
    if temperature > 1:
        return f"The map was too sure of itself: its probabilities were taken {power}, and scaled to sum to one again."
    return f"The map was right more often than it said: its probabilities were taken {power}, and scaled to one again."


def _source(numbers: Mapping[str, Any]) -> str:
    pixels, again = counted(numbers["pixels"], "pixel"), numbers.get("trainings")
    of = {
        "whole": f", in {counted(numbers['units'], 'parcel')} from which nothing trained,",
        "strips": ", in strips of parcels beside training pixels, as no class has a second parcel to hold out,",
    }.get(numbers["held_out"], ", held out one by one as the test pixels lie among training pixels too,")
    often = {1: "once", 2: "twice"}.get(again or 0, f"{again} times")
    trained = f" For some of them the method was trained {often} more, without their parcels." if again else ""
    return f"Under this power the classes of {pixels}{of} are most likely; no test pixel was looked at for it.{trained}"
