"""Tables and the FROC figure of `bench_focalmix.py`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.metrics.comparison import sign_test
from hyperseg.metrics.froc import Curve
from hyperseg.metrics.gains import corrected_t_test

STEPS = 1000  # of all rows; a row that took others says so
RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
Line = dict[str, Any]


def by_labels(lines: list[Line]) -> dict[int, dict[str, dict[int, Line]]]:
    """labels -> row and what is changed in it -> seed -> line."""
    found: dict[int, dict[str, dict[int, Line]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        name = line["row"] + told(line["change"], line["steps"])
        found[line["labels"]][name][line["seed"]] = line
    return found


def told(change: dict[str, Any], steps: int) -> str:
    """What is not as in all other rows."""
    other = {} if steps == STEPS else {"steps": steps}
    return "".join(f" {key}={value}" for key, value in sorted({**change, **other}.items()))


def tables(lines: list[Line], rows: list[str]) -> str:
    """One table for each number of labels; every row against the twin and against the row above, seed by seed.

    A difference is its mean with the half width of its 95 % interval, then how many seeds are for and against it, the p
    of the sign test, and that of the t-test (`metrics.gains`; a seed has volumes of its own, so nothing is corrected).
    """
    text = []
    for labels, every in sorted(by_labels(lines).items()):
        order = [row for row in rows if row in every] + sorted(set(every) - set(rows))
        seeds = sorted({seed for own in every.values() for seed in own})
        text += [
            "", f"**{labels} labelled volumes, seeds {', '.join(map(str, seeds))}**", "",
            "| row | CPM | by seed | at 1/8, 1, 8 | against the twin | p | against the row above | p | s |",
            "|---|---:|---|---|---|---:|---|---:|---:|",
        ]  # fmt: skip
        for number, row in enumerate(order):
            own = every[row]
            values = [own[seed]["cpm"] for seed in sorted(own)]
            sd = np.std(values, ddof=1) if len(values) > 1 else 0.0
            shares = np.mean([line["sensitivities"] for line in own.values()], axis=0)
            read = ", ".join(f"{shares[RATES.index(rate)]:.2f}" for rate in (0.125, 1, 8))
            seconds = np.mean([line["train_s"] for line in own.values()])
            twin = against(own, every.get(rows[0], {})) if row != rows[0] else ("–", "–")
            above = against(own, every[order[number - 1]]) if number > 1 else ("–", "–")
            seeds = " ".join(f"{value:.2f}" for value in values)
            text.append(
                f"| {row} | {np.mean(values):.3f} ± {sd:.3f} | {seeds} | {read} | "
                f"{' | '.join(twin)} | {' | '.join(above)} | {seconds:.0f} |"
            )
    return "\n".join(text).strip()


def against(own: dict[int, Line], other: dict[int, Line]) -> tuple[str, str]:
    """Mean difference, its interval, how many seeds are for and against it; p of the sign test and of the t-test."""
    shared = sorted(set(own) & set(other))
    if len(shared) < 2:
        return "–", "–"
    differences = [own[seed]["cpm"] - other[seed]["cpm"] for seed in shared]
    found, gain = sign_test(differences), corrected_t_test(differences)
    return (f"{gain.mean:+.3f} ± {gain.half:.3f} ({found.wins}:{found.losses})", f"{found.p_value:.2g}, {gain.p:.2g}")


def figure(lines: list[Line], rows: list[str], path: Path) -> None:
    """FROC curves, the mean over seeds, a panel for each number of labels.

    No spread is drawn: seeds differ by their volumes far more than rows do, and all rows have the same seeds.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from hyperseg.report.froc import draw_froc

    every = by_labels(lines)
    shared = [row for row in rows if all(row in found for found in every.values())]  # so that colours agree
    shown, axes = plt.subplots(1, len(every), figsize=(5.2 * len(every), 4.2), sharey=True, squeeze=False)
    for axis, (labels, found) in zip(axes[0], sorted(every.items()), strict=True):
        draw_froc(axis, {row: [mean_curve([*found[row].values()])] for row in shared})
        axis.set_ylim(0.3, 1)
        axis.set_title(f"{labels} labelled volumes", fontsize=10, loc="left")
    shown.tight_layout()
    shown.savefig(path, dpi=90)


def mean_curve(lines: list[Line]) -> Curve:
    """The mean share found at every rate."""
    curves = [Curve(*np.array(line["curve"]).T) for line in lines]
    rates = np.unique(np.concatenate((RATES, np.geomspace(RATES[0], RATES[-1], 200))))
    shares = np.mean([[curve.at(float(rate)) for rate in rates] for curve in curves], axis=0)
    return Curve(rates, shares, np.zeros_like(rates))
