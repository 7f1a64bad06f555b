"""Tables, figure and page of a benchmark of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.bench.comparing.page import how_made
from hyperseg.recipes.bench.folder import REPORT, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.zoo.folder import FRONT
from hyperseg.recipes.bench.zoo.judging import COSTS, Judged, point_of
from hyperseg.recipes.bench.zoo.showing import table as tables
from hyperseg.recipes.bench.zoo.showing.figure import Point, front_figure
from hyperseg.recipes.bench.zoo.showing.table import Measure
from hyperseg.report.page import write_page

CAPTION = (
    "Score against what one prediction costs. Circles: networks of this package; triangles: MONAI's. Black names: "
    "networks that none of no more cost beats; grey names: others, where there is room; lines: the baselines. "
    "A network far below the others stands at the lower edge, with its score."
)


def write_results(
    root: Path, rows: Sequence[Judged], measure: Measure, found: Mapping[str, Any], *, reference: str
) -> None:
    """Write all that there is to look at into the folder.

    Args:
        root: of the benchmark.
        rows: of `judging.judge`.
        measure: what they are compared by.
        found: "lead" and "cautions": sentences; "name", "settings", "versions", "left_out", "seconds".
        reference: key of the row that others are compared with.
    """
    write_text(root / TABLE_CSV, tables.as_csv(rows))
    write_text(root / TABLE_MD, tables.as_markdown(rows, measure, reference))
    floors = [(row.row.key, row.score) for row in rows if row.row.kind == "baseline" and row.score is not None]
    picture = front_figure(panels_of(rows, measure), floors=floors, unit=measure.name)
    with replacing(root / FRONT) as temporary:
        temporary.write_bytes(picture)
    first = Section(
        "What is best for what it costs", tuple(tables.verdicts(rows, measure, reference)), tuple(found["cautions"]),
        (Figure(picture, CAPTION),),
    )  # fmt: skip
    all_rows = Table(
        "The best score first", tables.heads(measure), tuple(tables.cells(row, measure) for row in rows)
    )  # fmt: skip
    every = Section("Every row", tuple(tables.legend(measure, reference)), tables=(all_rows,))
    write_page(
        root / REPORT, [first, every, how_made(found)], title=f"Networks on {found['name']}", lead=found["lead"]
    )  # fmt: skip


def panels_of(rows: Sequence[Judged], measure: Measure) -> list[tuple[str, list[Point]]]:
    """Points of the chart: multiply-adds, and seconds."""
    words = {"madds": "multiply-adds of one window", "test_s": f"seconds per {measure.tested}"}
    return [
        (
            words[name],
            [
                Point(row.row.key, *point, peer=row.row.kind == "peer")
                for row in rows if (point := point_of(row, cost)) is not None
            ],
        )
        for name, cost in COSTS.items()
    ]  # fmt: skip
