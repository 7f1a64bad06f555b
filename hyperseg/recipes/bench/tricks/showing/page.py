"""Tables, figure and page of a benchmark of tricks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.bench.comparing.page import how_made
from hyperseg.recipes.bench.folder import REPORT, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.tricks.folder import GAINS
from hyperseg.recipes.bench.tricks.judging import Result
from hyperseg.recipes.bench.tricks.showing import table as tables
from hyperseg.recipes.bench.tricks.showing.table import Measure
from hyperseg.report.gains import Bar, gains_figure
from hyperseg.report.page import write_page


def write_results(root: Path, result: Result, measure: Measure, found: Mapping[str, Any], *, shared: bool) -> None:
    """Write all that there is to look at into the folder.

    Args:
        root: of the benchmark.
        result: the rows.
        measure: what they are compared by.
        found: "lead": sentences; "settings", "versions", "left_out", "seconds".
        shared: see `judging.judge`.
    """
    write_text(root / TABLE_CSV, tables.as_csv(result))
    write_text(root / TABLE_MD, tables.as_markdown(result, measure, shared=shared))
    picture = gains_figure(
        bars_of(result), line=result.noise.line(result.cells),
        unit=f"difference of {measure.name} to the baseline{f' in{measure.unit}' if measure.unit else ''}",
    )  # fmt: skip
    with replacing(root / GAINS) as temporary:
        temporary.write_bytes(picture)
    caption = (
        "Mean difference to the baseline with its 95 % interval. Grey band: what the baseline alone moves by with "
        "other seeds. In colour: what exceeds it; pale rows are in the order of the alphabet and not ranked."
    )
    first = Section(
        "What helps", tuple(tables.verdicts(result, measure)), tuple(found.get("cautions", ())),
        (Figure(picture, caption),),
    )  # fmt: skip
    sections = [first, _rows(result, measure, shared=shared), how_made(found)]
    write_page(root / REPORT, sections, title=f"Tricks on {found['name']}", lead=found["lead"])


def bars_of(result: Result) -> list[Bar]:
    """The rows of the chart: sorted only among those that exceed the noise."""
    bars, before = [], ""
    for row in result.rows:
        if row.gain is not None:
            told = row.verdict in ("helps", "harms") or (
                row.verdict == "together" and row.line is not None and abs(row.gain.mean) > row.line
            )
            group = "told" if row.verdict in ("helps", "harms") else row.verdict
            bars.append(Bar(tables.name_of(row), row.gain.mean, row.gain.half, told, group != before))
            before = group
    return bars


def _rows(result: Result, measure: Measure, *, shared: bool) -> Section:
    made = tuple(
        Table(title[:1].upper() + title[1:] or "Baseline", tables.heads(measure),
              tuple(tables.cells(row, measure) for row in rows))
        for title, rows in tables.groups(result)
    )  # fmt: skip
    return Section("Every row", tuple(tables.legend(measure, shared=shared)), tables=made)
