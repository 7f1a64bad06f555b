"""The table of a benchmark in the form of the survey's: by network calls, the best of each marked."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hyperseg.core.words import UNKNOWN, as_cell, number
from hyperseg.recipes.bench.rows import Row

BEST = "*"  # behind the best of a group


def heads(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the columns; distances and scores are named after the network of their features.

    Args:
        features: "distance" and "score": what they are called in its features.
    """
    names = (features["distance"], features["score"])
    return ("method", "NFE", *names, "precision", "recall", "NLL", "seconds")


def groups(rows: Iterable[Row]) -> list[tuple[int, list[Row]]]:
    """By calls asked for, most first as in the survey; in each the best first, and those without numbers last."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row.asked, []).append(row)
    return [(asked, sorted(found[asked], key=_rank)) for asked in sorted(found, reverse=True)]


def best_of(group: Sequence[Row]) -> Row | None:
    """The row of the least distance, or None where nothing has one."""
    return group[0] if group and group[0].fd is not None else None


def cells(row: Row, *, best: bool = False) -> tuple[str, ...]:
    """A row in words."""
    spread = "" if row.fd_sd is None else f" ± {number(row.fd_sd, 2)}"
    distance = UNKNOWN if row.fd is None else f"{number(row.fd, 2)}{spread}"
    return (
        f"{row.label} {BEST}" if best else row.label, str(row.nfe), distance, number(row.inception, 2),
        number(row.precision, 3), number(row.recall, 3), number(row.nll, 2), number(row.seconds, 2),
    )  # fmt: skip


def as_markdown(rows: Iterable[Row], features: Mapping[str, Any]) -> str:
    """The table for a document."""
    lines = ["| " + " | ".join(heads(features)) + " |", "|---" + "|---:" * (len(heads(features)) - 1) + "|"]
    for asked, group in groups(rows):
        lines.append(f"| **{asked} calls**" + " | " * (len(heads(features)) - 1) + " |")
        for row in group:
            told = cells(row)
            if row is best_of(group):
                told = (f"**{told[0]}**", told[1], f"**{told[2]}**", *told[3:])
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in told) + " |")
    return "\n".join(lines) + "\n"


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
