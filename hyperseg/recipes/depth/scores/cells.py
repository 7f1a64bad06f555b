"""Cells of scores are made: the samples of a row and a seed, drawn, judged, written, one after the other."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hyperseg.core import TrainingError
from hyperseg.core.words import counted, duration, one_line, thousands
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.engine.progress import counted_progress
from hyperseg.recipes.bench.rows import append_line, read_lines
from hyperseg.recipes.depth.judging import DepthJudge
from hyperseg.recipes.depth.kept import Drawn, read_drawn, write_drawn
from hyperseg.recipes.depth.sampling import Draw, calls_of, draw_all, draw_part
from hyperseg.recipes.depth.scores.measuring import Real, measure
from hyperseg.recipes.depth.scores.table import MEASURES, DepthCell
from hyperseg.recipes.depth.settings import CHOICES

TRIED = 2  # calls that the pace is measured with


def make_cells(
    draw: Draw, cells: Sequence[tuple[str, int]], n: int, folder: Path, judge: DepthJudge, real: Real, *, quiet: bool
) -> None:  # fmt: skip
    """Draw n samples for each (row, seed), judge them, and append the numbers to the file of cells.

    Samples of a seed start from the same noise in all rows. A row that fails has a cell with a note.
    """
    each = -(-n // draw.settings.batch) * calls_of(draw.settings)
    total, done = each * len(cells), 0
    with counted_progress(f"Sampling {counted(len(cells), 'cell')}", unit="calls", quiet=quiet) as progress:

        def tick(calls: int) -> None:
            nonlocal done
            done += calls
            progress(min(done, total), total)

        for place, (row, seed) in enumerate(cells, 1):
            name = f"{row}-seed{seed}"
            parts = folder / f"{name}.parts"
            own = replace(draw, settings=replace(draw.settings, guidance=row))
            try:
                drawn = draw_all(own, seed, n, parts, tick=tick)
            except TrainingError as error:
                cell = DepthCell(row, seed, n, {}, note=one_line(str(error)))
            else:
                write_drawn(folder / f"{name}.npz", drawn)
                cell = measure(judge, real, drawn, row, seed)
                shutil.rmtree(parts, ignore_errors=True)
            append_line(folder, asdict(cell))
            done = each * place  # one that failed made fewer


def forecast(draw: Draw, cells: Sequence[tuple[str, int]], n: int) -> str:
    """What is to be done and about how long it takes, measured on a few calls of each row."""
    seconds, calls, sampler = 0.0, calls_of(draw.settings), SAMPLERS[draw.settings.sampler]
    fewest = max(TRIED, sampler.nfe(sampler.least))
    for row in dict.fromkeys(row for row, _ in cells):
        few = replace(draw.settings, guidance=row, calls=min(fewest, draw.settings.calls), earliest=0.0, latest=1.0)
        plain = _pace(replace(draw, settings=replace(few, consistency=0.0, prior=0.0)))
        own = _pace(replace(draw, settings=few))
        window = draw.settings.latest - draw.settings.earliest
        share = window / draw.settings.every if own > plain else 0.0  # of the calls that are guided
        count = sum(1 for name, _ in cells if name == row)
        seconds += count * n * calls * (plain + share * (own - plain))
    return (
        f"about {duration(seconds)}: {counted(len(cells), 'cell')} of {thousands(n)} samples, {thousands(calls)} "
        "network calls each"
    )


def _pace(draw: Draw) -> float:
    """Seconds of a call for one sample in a part."""
    try:
        _, part = draw_part(draw, 0, 0, draw.settings.batch)
    except TrainingError:  # told when its cell is made
        return 0.0
    return part.seconds / (draw.settings.batch * calls_of(draw.settings))


def first_drawn(folder: Path, row: str) -> Drawn | None:
    """The samples of a row's first seed, or None where they failed."""
    found = sorted(folder.glob(f"{row}-seed*.npz"), key=lambda file: (len(file.name), file.name))
    return read_drawn(found[0]) if found else None


def read_cells(folder: Path) -> list[DepthCell]:
    """All finished cells in the order of rows and seeds, each once.

    Raises:
        RunError: a line that is damaged.
    """
    found = {(c.row, c.seed): c for c in read_lines(folder, _cell)}
    return [found[key] for key in sorted(found, key=lambda key: (CHOICES.index(key[0]), key[1]))]


def _cell(data: dict[str, Any]) -> DepthCell:
    cell = DepthCell(**data)
    if cell.row not in CHOICES or not isinstance(cell.seed, int):
        raise ValueError(f"row {cell.row!r}, seed {cell.seed!r}")
    if wrong := [m.key for m in MEASURES if cell.numbers and not math.isfinite(cell.numbers[m.key])]:
        raise ValueError(f"{wrong[0]} is no number")
    return cell
