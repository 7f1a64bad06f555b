"""The survey's taxonomy as a table: every method of the tables, where it is in the code, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core.words import UNKNOWN
from hyperseg.dpm.samplers import SAMPLERS

HEADS = ("family", "method", "in words", "where", "order", "calls a step", "fewest calls", "needs", "source")
TRAINS = "a training of its own"


def taxonomy(speedups: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of `HEADS` for each sampler and each speed-up that trains, by family."""
    rows = [_of_sampler(name) for name in SAMPLERS]
    rows += [_of_speedup(name, speedups) for name in speedups]
    return sorted(rows, key=lambda row: row[0])  # stable: within a family as in the tables


def as_markdown(rows: list[tuple[str, ...]]) -> str:
    """The rows for a document in `docs/`, places in the code as links."""
    at = HEADS.index("where")
    linked = [(*row[:at], f"[{row[at].rpartition('/')[2]}](../{row[at]})", *row[at + 1 :]) for row in rows]
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in linked)]) + "\n"


def _of_sampler(name: str) -> tuple[str, ...]:
    sampler = SAMPLERS[name]
    needs = [f"the head {sampler.needs}" if sampler.needs else "", f"the package {sampler.package}"
             if sampler.package else "", "data to fit" if sampler.fit else ""]  # fmt: skip
    entry = SAMPLERS.entries[name]
    return (
        sampler.family, name, entry.help, _where(entry.where), UNKNOWN if sampler.order is None else str(sampler.order),
        str(sampler.calls), str(sampler.nfe(sampler.least)), "; ".join(filter(None, needs)) or UNKNOWN, sampler.source,
    )  # fmt: skip


def _of_speedup(name: str, speedups: Any) -> tuple[str, ...]:
    speedup, entry = speedups[name], speedups.entries[name]
    fewest = str(min(speedup.nfes))
    return (
        speedup.family, name, entry.help, _where(entry.where), UNKNOWN, UNKNOWN, fewest, TRAINS, speedup.source,
    )  # fmt: skip


def _where(place: str) -> str:
    return place.partition(":")[0].replace(".", "/") + ".py"
