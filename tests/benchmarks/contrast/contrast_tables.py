"""Tables and the figure of bench_contrast.py, of the lines that it has written."""

from __future__ import annotations

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


def gain_of(rows: dict[str, dict[int, float]], row: str, against: str, ratio: float) -> Gain | None:
    """Over draws that both have."""
    shared = sorted(set(rows.get(row, {})) & set(rows.get(against, {})))
    if len(shared) < 2:
        return None
    return corrected_t_test([rows[row][d] - rows[against][d] for d in shared], ratio=ratio)


def table(lines: Sequence[Line], name: str, labelled: int) -> str:
    rows = by_row(lines, name, labelled)
    if FIRST not in rows:
        return ""
    ratio = SETS[name].tested / (PATIENTS[name] - SETS[name].tested)
    shown = [row for row in ROWS if row in rows]
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
            against = TWINS.get(row, FIRST) or FIRST
            shared = set(rows[row]) & set(rows[against])
            better = sum(rows[row][d] > rows[against][d] for d in shared)
            told = f"{gain.mean:+.1f} | {gain.half:.1f} | {better} of {gain.n} | {gain.p:.2f} | {corrected[row]:.2f}"
        text.append(f"| {row} | {len(values)} | {np.mean(values):.1f} ± {spread:.1f} | {told} |")
    again = rows.get("random, another seed", {})
    shared = sorted(set(again) & set(rows[FIRST]))
    if len(shared) > 1:
        noise = noise_of([[rows[FIRST][d], again[d]] for d in shared])
        text += ["", f"Noise line of {len(shared)} draws: {noise.line(len(shared)):.1f} points."]
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
    """Gain over random weights by draw, for 1, 2 and 8 labelled volumes of hearts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), dpi=110, layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, n in zip(axes, (1, 2, 8), strict=True):
        rows = by_row(lines, "acdc", n)
        shown = [row for row in ROWS if row in rows and row != FIRST]
        ax.axhline(0, color="0.5", lw=0.8)
        for place, row in enumerate(shown):
            against = TWINS.get(row, FIRST) or FIRST
            both = sorted(set(rows[row]) & set(rows[against]))
            gains = [rows[row][d] - rows[against][d] for d in both]
            ax.plot([place] * len(gains), gains, "o", ms=4, color="C0", alpha=0.6)
            ax.plot([place - 0.25, place + 0.25], [np.mean(gains)] * 2, color="C1", lw=2)
        ax.set_xticks(range(len(shown)), shown, rotation=60, ha="right", fontsize=7)
        ax.set_title(f"{n} labelled", fontsize=9)
    axes[0].set_ylabel("Dice gained, points", fontsize=8)
    FigureCanvasAgg(figure).print_png(str(path))
