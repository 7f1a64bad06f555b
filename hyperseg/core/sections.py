"""What a part shows in the report: sentences, tables, figures and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of the report, its cells already in words.

    Attributes:
        caption: what it shows, one sentence or two.
        columns: their heads; () for a table without.
        rows: of as many cells each.
        marked: index of the row that stands out, or None.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


@dataclass(frozen=True)
class Figure:
    """A picture of the report: a PNG file and what is said below it."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """What a part shows in the report.

    Attributes:
        title: heading.
        sentences: plain text, one paragraph.
        cautions: what a reader must know before believing the accuracies, each a full sentence; shown with them.
        figures, tables: in this order, below the text.
        numbers: JSON for metrics.json.
    """

    title: str
    sentences: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
