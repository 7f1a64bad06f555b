"""The table of a benchmark in the form of the survey's: by network calls, the best of each marked, and its meaning."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hyperseg.core.words import UNKNOWN, as_cell, listed, number
from hyperseg.recipes.bench.plan import CHOSEN_LABEL, RAW_LABEL
from hyperseg.recipes.bench.rows import Row

BEST = "*"  # behind the best of a group, and behind what is equal to it
BOLD = "Bold: the best with so many calls, and all that are equal to it within two ±."
SPREADS = 2.0  # standard deviations within which two distances count as equal


def heads(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the columns with the direction that is good; distances and scores are named after their features.

    Args:
        features: "distance" and "score": what they are called in its features.
    """
    names = (f"{features['distance']} ↓", f"{features['score']} ↑")
    return ("method", "NFE", *names, "precision ↑", "recall ↑", "NLL bits/dim ↓", "seconds")


def legend(features: Mapping[str, Any]) -> tuple[str, ...]:
    """What the columns say, a sentence for each."""
    return (
        f"{features['distance']} (lower is better): how far samples are from the training data in the features; after "
        "±: its spread when samples are drawn again from those that were made.",
        f"{features['score']} (higher is better): samples of clear classes, and of all of them.",
        "Precision (higher is better): share of samples that look like real data.",
        "Recall (higher is better): share of real data that samples come near.",
        "NLL (lower is better): bits per dimension that held-out data need under the method's own steps and variances, "
        "where it has a likelihood.",
        f"{BEST}: the best with so many calls, and all that are equal to it within two ±.",
    )


def beside(rows: Iterable[Row]) -> list[str]:
    """A sentence for each kind of rows that nobody asked for by name."""
    methods: dict[str, dict[str, None]] = {}
    for row in rows:
        methods.setdefault(row.kind, {})[row.method] = None
    told = []
    if "raw" in methods:
        told.append(
            f'Beside what was asked for, "{RAW_LABEL}": {listed(methods["raw"])} with the weights of the last training '
            "step; all other rows have their average (EMA)."
        )
    if "chosen" in methods:
        told.append(
            f'Beside what was asked for, "{CHOSEN_LABEL}": {listed(methods["chosen"])} on steps chosen by dynamic '
            "programming for the variational bound on training data; with another cost of the last step than the NLL "
            "has, so that neither NLL nor distance need be better."
        )
    return told


def groups(rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    """By calls asked for, most first as in the survey; in each the best first, and those without numbers last."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.asked, []).append(row)
    return [(asked, sorted(found[asked], key=_rank)) for asked in sorted(found, reverse=True)]


def best_of(group: Sequence[Row]) -> Row | None:
    """The row of the least distance, or None where nothing has one."""
    return group[0] if group and group[0].fd is not None else None


def equal(a: Row, b: Row) -> bool:
    """Whether two distances differ by no more than their spread over samples."""
    return abs(distance_of(a) - distance_of(b)) <= spread_of(a, b)


def spread_of(a: Row, b: Row) -> float:
    """The difference of two distances that says nothing."""
    return SPREADS * math.hypot(a.fd_sd or 0.0, b.fd_sd or 0.0)


def distance_of(row: Row) -> float:
    """The distance, infinite where there is none."""
    return math.inf if row.fd is None else row.fd


def leaders_of(group: Sequence[Row]) -> list[Row]:
    """The best of a group and all that are equal to it within the spread; none where nothing has a distance."""
    best = best_of(group)
    return [] if best is None else [row for row in group if row is best or (row.fd is not None and equal(row, best))]


def cells(row: Row, *, best: bool = False) -> tuple[str, ...]:
    """A row in words."""
    spread = "" if row.fd_sd is None else f" ± {number(row.fd_sd, 2)}"
    distance = UNKNOWN if row.fd is None else f"{number(row.fd, 2)}{spread}"
    return (
        f"{row.label} {BEST}" if best else row.label, str(row.nfe), distance, number(row.inception, 2),
        number(row.precision, 3), number(row.recall, 3), number(row.nll, 2), number(row.seconds, 2),
    )  # fmt: skip


def as_markdown(rows: Iterable[Row], features: Mapping[str, Any]) -> str:
    """The table for a document, what it says below."""
    rows = list(rows)
    lines = ["| " + " | ".join(heads(features)) + " |", "|---" + "|---:" * (len(heads(features)) - 1) + "|"]
    for asked, group in groups(rows):
        lines.append(f"| **{asked} calls**" + " | " * (len(heads(features)) - 1) + " |")
        leaders = leaders_of(group)
        for row in group:
            told = cells(row)
            if row in leaders:
                told = (f"**{told[0]}**", told[1], f"**{told[2]}**", *told[3:])
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in told) + " |")
    below = [f"- {sentence}" for sentence in (*legend(features)[:-1], BOLD, *beside(rows))]
    return "\n".join([*lines, "", *below]) + "\n"


COLUMNS = (
    "method", "weights", "family", "asked", "nfe", "fd", "fd_sd", "inception_score", "precision", "recall",
    "nll_bits_per_dim", "seconds", "n", "spacing", "clip", "features", "reference", "note",
)  # fmt: skip


def as_csv(rows: Iterable[Row], *, features: str, reference: str) -> str:
    """Every row with all that its numbers depend on.

    Args:
        features, reference: of the distances: which network, and of which data.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for _, group in groups(rows):
        for r in group:
            values = (
                r.label, r.weights, r.family, r.asked, r.nfe, r.fd, r.fd_sd, r.inception, r.precision, r.recall, r.nll,
                r.seconds, r.n, r.spacing, r.clip, features, reference, r.note,
            )  # fmt: skip
            writer.writerow([_plain(value) for value in values])
    return text.getvalue()


def _plain(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else as_cell(str(value))


def _rank(row: Row) -> tuple[bool, float, str]:
    return row.fd is None, row.fd or 0.0, row.label
