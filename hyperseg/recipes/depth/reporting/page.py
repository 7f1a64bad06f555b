"""What scores of guidance leave to look at: tables, numbers, pictures and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import counted, number
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.depth.folder import METRICS, PICTURE, READABLE, REPORT, SHEET, TABLE, add_metrics
from hyperseg.recipes.depth.kept import Drawn
from hyperseg.recipes.depth.reporting import words
from hyperseg.recipes.depth.reporting.sheets import ACROSS, beside, shift_figure, strips_sheet
from hyperseg.recipes.depth.scores.measuring import Real
from hyperseg.recipes.depth.scores.table import MEASURES, Against, compare
from hyperseg.recipes.depth.settings import NONE
from hyperseg.report.page import write_page

if TYPE_CHECKING:
    from hyperseg.recipes.depth.scores.scoring import Scored


def write_scores(scored: Scored, real: Real, drawn: Mapping[str, Drawn | None]) -> None:
    """Write table.csv, table.md, metrics.json, samples.png and report.html.

    Args:
        scored: what was measured.
        real: pictures that samples were compared with.
        drawn: samples of the first seed, by row.
    """
    root, found = scored.root, compared(scored)
    rows = words.lines(found, scored.cells, scored.floors)
    told = words.sentences(found, scored.cells)
    write_text(root / TABLE, words.as_csv(scored.cells, scored.floors))
    write_text(root / SHEET, words.as_markdown(rows, (*told, *cautions(scored), *words.legend(how(scored)))))
    _write_metrics(root / METRICS, scored, found)
    z = (float(scored.found["bounds"][0]), float(scored.found["bounds"][1]))
    sheet = samples_sheet(real, drawn, z)
    with replacing(root / PICTURE) as temporary:
        temporary.write_bytes(sheet)
    guided = [(row, one.steps) for row, one in drawn.items() if one is not None and len(one.steps)]
    sections = [
        Section(
            "Does guidance help?", tuple(told), cautions(scored),
            tables=(Table(how(scored), words.heads(), tuple(rows)),),
        ),
        Section("Samples from the same starting noise", figures=(Figure(sheet, _of_samples()),)),
        *([_shifts(guided)] if guided else []), *_heads(Path(scored.found["run"])), _made(scored),
    ]  # fmt: skip
    title = f"Guidance by depth: {Path(scored.found['run']).resolve().name}"
    write_page(root / REPORT, sections, title=title, lead=(how(scored),), tiles=tiles(found))


def compared(scored: Scored) -> dict[str, dict[str, Against]]:
    """The table in numbers."""
    return compare(scored.cells, {key: float(np.mean(values)) for key, values in scored.floors.items() if values})


def how(scored: Scored) -> str:
    """What was compared, in a sentence or two."""
    found, settings = scored.found, scored.found["settings"]
    weights = f"w_dc {settings['consistency']:g} and w_dp {settings['prior']:g}, mode {settings['mode']}"
    judge = f"δ1 {found['judge']['delta1']:.3f}, AbsRel {found['judge']['abs_rel']:.3f}"
    return (
        f"{counted(found['n'], 'sample')} of {counted(found['seeds'], 'seed')} each by {settings['sampler']} with "
        f"{counted(settings['calls'], 'call')}; {weights}, guided from t = {settings['earliest']:g} to "
        f"{settings['latest']:g}. Mean ± standard deviation over seeds. The judge ({judge} on pictures that it did not "
        "learn from) shares no weights and no pictures with the heads. Real pictures: as many others, compared with "
        "the same real pictures; the floor that no sampler needs to beat."
    )


def cautions(scored: Scored) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    own = ["dFD_pool8 and dFD_net are no FID: other features, other numbers."]
    if scored.found["seeds"] < 5:
        own.append(f"{counted(scored.found['seeds'], 'seed')}: the sign test cannot tell anything below 5.")
    return (*own, *scored.found["remarks"], *scored.found["left_out"])


def tiles(found: Mapping[str, Mapping[str, Against]]) -> list[tuple[str, str]]:
    """The figures that matter most."""
    first = MEASURES[0]
    return [(f"{first.head}, {row}", number(by[first.key].mean, first.digits)) for row, by in found.items()]


def samples_sheet(real: Real, drawn: Mapping[str, Drawn | None], z: tuple[float, float]) -> bytes:
    """Real pictures with their depth, then the first samples of each row with the depth that the strong head reads."""
    strips = beside(real.images[:ACROSS], real.y[:ACROSS], "real")
    for row, one in drawn.items():
        if one is not None:
            strips += beside(one.images[:ACROSS], one.strong[:ACROSS], row)
    return strips_sheet(strips, title="Samples from the same starting noise, column by column", z=z)


def _of_samples() -> str:
    return (
        "Real pictures with their true depth; below, the first samples of each row with the depth that the strong head "
        f"reads. Each column begins with the same noise in all rows, {NONE} among them."
    )


def _shifts(guided: list[tuple[str, Any]]) -> Section:
    caption = (
        "Length of guidance's shift beside the own step of the schedule, at every call of the first seed. Far above 1 "
        "guidance decides alone; far below 0.01 it does nothing."
    )
    return Section("How strong guidance is", figures=(Figure(shift_figure(guided), caption),))


def _heads(run: Path) -> list[Section]:
    """What the training says of the heads, where it has drawn it."""
    file = run / READABLE
    if not file.is_file():
        return []
    caption = "The heads on held-out pictures, at rising noise: beyond some time depth cannot be read."
    return [Section("What the heads read", figures=(Figure(file.read_bytes(), caption),))]


def _made(scored: Scored) -> Section:
    settings = [(name, str(value)) for name, value in scored.found["settings"].items() if name != "guidance"]
    lines = [("samples", str(scored.found["n"])), ("seeds", str(scored.found["seeds"])), *settings]
    return Section(
        "How it was made", words.legend(), tables=(Table("Settings.", ("setting", "value"), tuple(lines)),)
    )  # fmt: skip


def _write_metrics(file: Path, scored: Scored, found: Mapping[str, Mapping[str, Against]]) -> None:
    """Add the scores to what the training wrote."""
    table = {row: {key: asdict(one) | {"verdict": one.verdict} for key, one in by.items()} for row, by in found.items()}
    guidance = {
        **scored.found, "floors": scored.floors, "table": table, "cells": [asdict(cell) for cell in scored.cells],
        "told": words.sentences(found, scored.cells),
    }  # fmt: skip
    add_metrics(file, guidance=guidance)
