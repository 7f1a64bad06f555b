"""Sections that pages of comparisons have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core.sections import Section, Table
from hyperseg.core.words import duration


def how_made(found: Mapping[str, Any]) -> Section:
    """What was left out, and settings, versions and time."""
    rows = [(name, str(value)) for name, value in found["settings"].items() if value not in ("", None, [], 0)]
    rows += [(name, str(value)) for name, value in found["versions"].items()]
    rows.append(("time", duration(found["seconds"])))
    facts = Table("Settings, versions and time; all of it is in bench.json.", (), tuple(rows))
    return Section("How it was made", tuple(found["left_out"]), tables=(facts,))
