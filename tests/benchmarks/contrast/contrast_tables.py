"""Tables and the figure of bench_contrast.py, of the lines that it has written."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contrast_plan import ROWS
from contrast_sets import SETS

from hyperseg.metrics.gains import Gain, corrected_t_test, holm, noise_of

Line = dict[str, Any]
FIRST = "random"
TWINS = {"random": None, "G^D + L^R + Mixup": "random + Mixup"}  # what a row is compared with; others with `FIRST`
LEAST = 3  # draws of a row that is shown
PATIENTS = {"acdc": 15, "hippocampus": 260}


def dice_of(line: Line) -> float:
    """Percent: the mean over volumes of the mean over their classes."""
    return 100 * float(np.nanmean([np.nanmean(row) for row in line["dice"]]))


def by_row(lines: Sequence[Line], name: str, labelled: int) -> dict[str, dict[int, float]]:
    """Row -> draw -> Dice, of draws that are reported."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for line in lines:
        if (line["set"], line["labelled"]) == (name, labelled) and line["draw"] < 100:
            found[line["row"]][line["draw"]] = dice_of(line)
    return dict(found)


def gains_by_draw(rows: dict[str, dict[int, float]], row: str, against: str) -> list[float]:
    """Over draws that both have."""
    shared = sorted(set(rows.get(row, {})) & set(rows.get(against, {})))
    return [rows[row][d] - rows[against][d] for d in shared]


def gain_of(rows: dict[str, dict[int, float]], row: str, against: str, ratio: float) -> Gain | None:
    gains = gains_by_draw(rows, row, against)
    return corrected_t_test(gains, ratio=ratio) if len(gains) > 1 else None


def noise_line(rows: dict[str, dict[int, float]]) -> float | None:
    """Of two seeds of `FIRST`, for the mean of as many draws; None of too few draws."""
    gains = gains_by_draw(rows, "random, another seed", FIRST)
    return noise_of([[gain, 0.0] for gain in gains]).line(len(gains)) if len(gains) >= LEAST else None


def table(lines: Sequence[Line], name: str, labelled: int) -> str:
    rows = by_row(lines, name, labelled)
    if FIRST not in rows:
        return ""
    ratio = SETS[name].tested / (PATIENTS[name] - SETS[name].tested)
    shown = [row for row in ROWS if len(rows.get(row, {})) >= LEAST]
    gains = {row: gain_of(rows, row, TWINS.get(row, FIRST) or FIRST, ratio) for row in shown if row != FIRST}
    known = [row for row, gain in gains.items() if gain is not None]
    corrected = dict(zip(known, holm([gains[row].p for row in known]), strict=True))  # type: ignore[union-attr]
    plural = "volume" if labelled == 1 else "volumes"
    text = [
        f"**{name}, {labelled} labelled {plural}**", "",
        "| beginning | draws | Dice | gain | ± 95 % | better in | p | Holm |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in shown:
        values = list(rows[row].values())
        spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
        told = "– | – | – | – | –"
        if (gain := gains.get(row)) is not None:
            better = sum(g > 0 for g in gains_by_draw(rows, row, TWINS.get(row, FIRST) or FIRST))
            told = f"{gain.mean:+.1f} | {gain.half:.1f} | {better} of {gain.n} | {gain.p:.2f} | {corrected[row]:.2f}"
        text.append(f"| {row} | {len(values)} | {np.mean(values):.1f} ± {spread:.1f} | {told} |")
    line = noise_line(rows)
    if line is not None:
        text += ["", f"Noise line: {line:.1f} points."]
    return "\n".join(text)


def tables(lines: Sequence[Line]) -> str:
    every = [table(lines, name, n) for name in SETS for n in (1, 2, 8)]
    return "\n\n".join([*(one for one in every if one), learnt(lines)])


def learnt(lines: Sequence[Line]) -> str:
    """What the losses came to, and the seconds of processor time."""
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line["draw"] < 100 and line["labelled"] == 1:
            found[line["set"], line["row"]].append(line)
    text = ["| set | beginning | global loss | spread | local loss | s without labels | s with |", "|---" * 7 + "|"]
    for (name, row), own in found.items():
        about = [line["learnt"] for line in own]

        def of(stage: str, about: list[Line] = about) -> str:
            known = [one[stage] for one in about if stage in one]
            ends = [np.mean([one[key] for one in known]) for key in ("first", "last")] if known else []
            return " to ".join(f"{end:.2f}" for end in ends) or "–"

        spreads = [one["global"]["spread"] for one in about if "global" in one]
        apart = f"{np.mean(spreads):.2f}" if spreads else "–"
        before = f"{np.mean([one['seconds'] for one in about]):.0f}" if spreads else "–"
        tuned = np.mean([line["tuned_s"] for line in own])
        text.append(f"| {name} | {row} | {of('global')} | {apart} | {of('local')} | {before} | {tuned:.0f} |")
    return "\n".join(text)


def gains_figure(lines: Sequence[Line], path: Path) -> None:
    """Gain over random weights by draw, for 1, 2 and 8 labelled volumes of hearts, and the noise line in grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), dpi=110, layout="constrained")
    axes = figure.subplots(1, 3, sharey=True, sharex=True)
    places = {row: i for i, row in enumerate(row for row in ROWS if row != FIRST)}
    for ax, n in zip(axes, (1, 2, 8), strict=True):
        rows = by_row(lines, "acdc", n)
        line = noise_line(rows)
        if line is not None:
            ax.axhspan(-line, line, color="0.9", lw=0)
        ax.axhline(0, color="0.5", lw=0.8)
        for row, place in places.items():
            gains = gains_by_draw(rows, row, TWINS.get(row, FIRST) or FIRST)
            if len(gains) >= LEAST:
                ax.plot([place] * len(gains), gains, "o", ms=4, color="C0", alpha=0.6)
                ax.plot([place - 0.25, place + 0.25], [np.mean(gains)] * 2, color="C1", lw=2)
        names = [re.sub(r"[GL]\^(\{.*?\}|\w)", r"$\g<0>$", row) for row in places]
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        ax.set_title(f"{n} labelled volume{'s' if n > 1 else ''}", fontsize=9)
    axes[0].set_ylabel("Dice gained, points", fontsize=8)
    FigureCanvasAgg(figure).print_png(str(path))
