"""`write_score_page`: scores of predictions as a page, the worst cases first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import counted, listed, number, thousands
from hyperseg.metrics.overlap import RULE, Overlap
from hyperseg.recipes.segment.reporting.examples import named, places_of
from hyperseg.recipes.segment.scoring import FIGURES, Scored, examples
from hyperseg.report.page import write_page
from hyperseg.report.segment.curves import dice_figure
from hyperseg.report.segment.slices import slices_figure

WORST = 50  # cases in the table of a page; metrics.json has all
MOST_CLASSES = 30
NAMES = {"dice": "Dice", "iou": "IoU", "hd95": "HD95", "assd": "ASSD"}
DISTANCES = ("hd95", "assd")


def write_score_page(target: Path, found: Scored) -> None:
    """Write the page of `hyperseg segment score --report`; three cases are read once more for their slices."""
    tiles = [(f"mean {NAMES[one]}", figure(found, one, found.mean(one))) for one in FIGURES]
    lead = (
        f"{found.predictions} against {found.labels}: {counted(len(found.cases), 'case')}, "
        f"{counted(len(found.classes), 'class', 'classes')} ({listed(found.classes.values(), most=8)}).",
        "Figures below are means over classes of their means over cases.",
    )
    title = f"Scores of {found.predictions.name or found.predictions}"
    write_page(target, score_sections(found), title=title, lead=lead, tiles=tiles)


def score_sections(found: Scored) -> list[Section]:
    """What the page shows, in its order."""
    made = [_by_class(found), _by_case(found)]
    return [section for section in made if section.tables or section.figures]


def figure(found: Scored, name: str, value: float | None) -> str:
    """A score in words: distances with their unit."""
    if name in DISTANCES:
        told = number(value, 2)
        return told if value is None or isnan(value) else f"{told} {found.unit}"
    return number(value, 3)


def _by_class(found: Scored) -> Section:
    heads = ("class", "cases", *(f"{NAMES[one]}{_unit(found, one)}" for one in FIGURES))
    lines: list[tuple[str, ...]] = []
    for code, name in found.classes.items():
        summary = found.summary(code)
        counts = summary["dice"]
        cells = (_spread(one, summary[one]) for one in FIGURES)
        lines.append((name, thousands(counts["cases"]) if counts else "0", *cells))
    lines.append(("mean", "", *(number(found.mean(one), 2 if one in DISTANCES else 3) for one in FIGURES)))
    caption = (
        "Mean over cases ± their standard deviation. HD95: the larger of the two 95th percentiles of distances between "
        "the surfaces; ASSD: their mean."
    )
    drawn = {name: found.values(code, "dice") for code, name in list(found.classes.items())[:MOST_CLASSES]}
    picture = Figure(dice_figure(drawn), "Dice of every case, a point each; the line is the mean.")
    table = Table(caption, heads, tuple(lines), marked=len(lines) - 1)
    return Section("Class by class", cautions=(RULE, *found.notes), figures=(picture,), tables=(table,),
                   numbers=found.to_json())  # fmt: skip


def _by_case(found: Scored) -> Section:
    """A row for each case and class, and slices of the worst, a middling and the best case."""
    ranked = sorted((found.of_case(name), name) for name in found.cases if not isnan(found.of_case(name)))
    heads = ("case", "class", *(f"{NAMES[one]}{_unit(found, one)}" for one in FIGURES), "voxels, truth", "predicted")
    lines = [
        (name if at == 0 else "", found.classes[code], *_row(one))
        for _, name in ranked[:WORST]
        for at, (code, one) in enumerate(found.cases[name].items())
    ]
    more = f"; the {WORST} worst of {len(ranked)}" if len(ranked) > WORST else ""
    table = Table(f"Every case, the one with the lowest mean Dice first{more}.", heads, tuple(lines))
    shown = named(examples(found, [ranked[at][1] for at in places_of(len(ranked))]))
    figures: tuple[Figure, ...] = ()
    if shown:
        classes = ("background", *found.classes.values())
        told = (
            "The truth as a line, the prediction as a surface, in the colours of the classes; the image itself above, "
            "where the labels are those of a data set. Of a volume: the slice with most of them."
        )
        figures = (Figure(slices_figure(shown, classes, title="Cases, with mean Dice"), told),)
    return Section("Case by case", figures=figures, tables=(table,))


def _row(one: Overlap) -> Sequence[str]:
    values: dict[str, Any] = asdict(one)
    cells = [number(values[name], 2 if name in DISTANCES else 3) for name in FIGURES]
    return [*cells, thousands(one.truth), thousands(one.predicted)]


def _unit(found: Scored, name: str) -> str:
    return f" {found.unit}" if name in DISTANCES else ""


def _spread(name: str, one: dict[str, Any] | None) -> str:
    digits = 2 if name in DISTANCES else 3
    return number(None) if one is None else f"{number(one['mean'], digits)} ± {number(one['std'], digits)}"
