"""What a study of implanted targets comes to, in numbers and in words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from hyperseg.core.sections import Section, Table
from hyperseg.core.words import counted
from hyperseg.metrics.comparison import sign_test
from hyperseg.recipes.detection.scene.background import background_cautions
from hyperseg.recipes.detection.scene.candidates import RATES, Candidates, Found, compared
from hyperseg.recipes.detection.scene.positions import Mask, objects_of
from hyperseg.recipes.detection.scene.search import FILTERS
from hyperseg.recipes.detection.scene.study import Studied, best_of

BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
RULE = (
    "A target counts as found by a candidate whose centre lies within 1 px of its pixels; further candidates on it are "
    "no false alarms."
)
CLOSE = 0.02  # of mean sensitivity, below which two methods find as much


def best_filter(studied: Studied) -> str:
    """The classical filter that finds most of these very targets."""
    return best_of(studied, FILTERS)


def compared_with(studied: Studied) -> tuple[str, str]:
    """Two methods to show together: the one that made the list, and the best of the other kind."""
    others = list(studied.names.values()) if studied.mapped in FILTERS else FILTERS
    return studied.mapped, best_of(studied, others)


def by_share(studied: Studied, row: str, *, rate: float) -> list[dict[str, Any]]:
    """Targets found by share of their fullest pixel, at so many false alarms in 10,000 pixels; all repeats together."""
    together = studied.together(row)
    found = together.at > together.threshold(rate)
    shares = np.concatenate([[i.most for i in t.targets] for t in studied.trials])
    out = []
    settings = studied.ready.settings
    for low, high in pairwise(BINS):
        inside = (shares >= low) & ((shares < high) | (high == BINS[-1]))
        if n := int(inside.sum()):
            ends = {"from": max(low, settings.fill_from), "to": min(high, settings.fill_to)}
            out.append({**ends, "targets": n, "found": float(found[inside].mean())})
    return out


def rows_of(studied: Studied) -> list[dict[str, Any]]:
    """Every method's numbers."""
    reference = studied.means(best_filter(studied))
    out = []
    for name in studied.trials[0].found:
        means = studied.means(name)
        signs = sign_test([a - b for a, b in zip(means, reference, strict=True)])
        better = float(np.mean(means) - np.mean(reference))
        row = {
            "method": name, "mean": float(np.mean(means)), "sd": float(np.std(means, ddof=1)) if means[1:] else None,
            "repeats": means, "against_best_filter": {
                "mean": better, "won": signs.wins, "lost": signs.losses, "p": signs.p_value,
            },
            "found_at": {f"{rate:g}": studied.together(name).sensitivity(rate) for rate in RATES},
        }  # fmt: skip
        out.append(row)
    return out


def summary(studied: Studied, *, listed: int, threshold: float, truth: dict[str, Any] | None) -> dict[str, Any]:
    """What targets.json says."""
    ready, rate = studied.ready, studied.ready.settings.false_alarms
    return {
        "scene": ready.scene.name, "target": ready.target.words, "pixels": ready.area_px,
        "bands": ready.background.whitening.n_used, "contrast": ready.background.contrast,
        "channels_hold": ready.background.held, "targets_each_repeat": [len(t.targets) for t in studied.trials],
        "mapped_by": studied.mapped, "chosen_by": "the implanted targets" if studied.chosen else "what was asked for",
        "best_filter": best_filter(studied), "methods": rows_of(studied),
        "false_alarms": rate, "threshold": threshold if np.isfinite(threshold) else None, "listed": listed,
        "found_by_share": {name: by_share(studied, name, rate=rate) for name in compared_with(studied)},
        "truth": truth, "cautions": cautions(studied),
        "words": {
            "found_at": f"share of the targets found at so many false alarms in 10,000 pixels; {RULE}",
            "mean": "mean of these; of each repeat in `repeats`",
            "contrast": "standard deviations of the background that a pixel full of the target stands out by",
            "channels_hold": "share of its square in a detector's channels",
            "row, column": "counted from 0; a box ends before hi",
        },
    }  # fmt: skip


def against_truth(candidates: dict[str, Candidates], truth: Mask, known: Mask | None, area_px: int) -> dict[str, Any]:
    """Candidates of the scene as it is against true objects of connected pixels; the target's own do not count."""
    asked = truth if known is None else truth & ~known
    boxes, sizes = objects_of(asked)
    found = {
        name: compared(c, boxes, area_px=area_px, excluded=known) for name, c in candidates.items()
    }  # fmt: skip
    return {
        "objects": len(boxes), "pixels": sizes.tolist(),
        "methods": {name: _known(f) for name, f in found.items()},
    }  # fmt: skip


def _known(found: Found) -> dict[str, Any]:
    """For each object how many false alarms score higher than its best candidate; None where it has none."""
    above = [int((found.false >= score).sum()) if np.isfinite(score) else None for score in found.at]
    return {"false_alarms_before": above, "found_at": {f"{rate:g}": found.sensitivity(rate) for rate in RATES}}


def cautions(studied: Studied) -> list[str]:
    """What a reader must know before believing the list."""
    ready = studied.ready
    out = [*ready.target.cautions, *background_cautions(ready.background, ready.scene)]
    if ready.background.held < 0.5:
        out.append(
            f"The detector's {len(ready.background.components)} channels hold {100 * ready.background.held:.0f} % of "
            "the target's contrast: give more --components."
        )
    rows = {row["method"]: row["mean"] for row in rows_of(studied)}
    best = best_filter(studied)
    if rows[studied.mapped] < rows[best] - CLOSE:
        out.append(
            f"On these implanted targets {best}, which needs no training, finds more than {studied.mapped}, which was "
            "asked for and made the list. --detector auto lets the best one make it."
        )
    return out


def made_by(studied: Studied) -> str:
    """Which method made the list, and why."""
    if not studied.chosen:
        return f"List and map made by {studied.mapped}, as asked for."
    asked = [*FILTERS, *studied.names.values()]
    second = best_of(studied, [name for name in asked if name != studied.mapped])
    mine, its = (100 * float(np.mean(studied.means(name))) for name in (studied.mapped, second))
    return (
        f"List and map made by {studied.mapped}: of {len(asked)} methods measured on the implanted targets it finds "
        f"most ({mine:.0f} % on average; next: {second}, {its:.0f} %)."
    )


def words(studied: Studied) -> list[str]:
    """What to expect, in sentences."""
    ready, rate = studied.ready, studied.ready.settings.false_alarms
    n = sum(len(t.targets) for t in studied.trials)
    shares = by_share(studied, studied.mapped, rate=rate)
    per = rate * ready.area_px / 1e4
    learned = " Each counts on the part of the scene that the detector has not learned on."
    out = [
        f"{n} targets with a share of {ready.settings.fill_from:g} to {ready.settings.fill_to:g} in their fullest "
        f"pixel were implanted in {counted(len(studied.trials), 'repeat')}, with as many decoys of other spectra."
        + ("" if studied.mapped in FILTERS else learned),
        f"At {rate:g} false alarms in 10,000 pixels ({per:.1f} in this scene) the list finds "
        + ", ".join(f"{100 * s['found']:.0f} % of those with {s['from']:g} to {s['to']:g}" for s in shares)
        + ".",
        "That holds for targets of this spectrum as they were drawn: mixed linearly, with the scene's own noise, up to "
        f"{ready.settings.extent} px wide. Real ones vary more.",
    ]
    if studied.chosen:
        out.append("The method was chosen on these very targets, which makes its numbers a little too good.")
    half = next((s["from"] for s in shares if s["found"] >= 0.5), None)
    out.append(
        "Half of the targets are found at no share that was tried."
        if half is None
        else f"Half of them or more are found from a share of {half:g} on."
    )
    return out


def cells_of(row: dict[str, Any], *, best: str) -> tuple[str, ...]:
    """A method's numbers as the cells of a table."""
    against, n = row["against_best_filter"], len(row["repeats"])
    spread = "" if row["sd"] is None else f" ± {row['sd']:.3f}"
    versus = f"{against['mean']:+.3f}, {against['won']}/{n} won, p {against['p']:.2g}"
    found = (f"{100 * value:.0f}" for value in row["found_at"].values())
    return row["method"], f"{row['mean']:.3f}{spread}", *found, "–" if row["method"] == best else versus


def section(studied: Studied) -> Section:
    """The page's table of methods."""
    rows = rows_of(studied)
    best = best_filter(studied)
    cells = tuple(cells_of(row, best=best) for row in rows)
    repeats = len(studied.trials)
    table = Table(
        f"Share of the implanted targets found, in percent, at so many false alarms in 10,000 pixels, and its mean "
        f"over these six rates with the spread over repeats. {RULE} The last column is paired by repeat, sign test; "
        f"with {counted(repeats, 'repeat')} it cannot give a p below {2.0 ** (1 - repeats):.2g}.",
        ("method", "mean", *(f"{rate:g}" for rate in RATES), "against the best filter"), cells,
        marked=[row["method"] for row in rows].index(studied.mapped),
    )  # fmt: skip
    return Section("What to expect", tuple(words(studied)), tuple(cautions(studied)), tables=(table,))
