"""All cells that are missing, one after the other, each written as soon as it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.engine.progress import counted_progress
from hyperseg.recipes.bench.data import Pictures
from hyperseg.recipes.bench.judge import Judge
from hyperseg.recipes.bench.making import Bench, grid_of, in_parts, make_samples, row_of
from hyperseg.recipes.bench.plan import Cell
from hyperseg.recipes.bench.rows import Row, append_row
from hyperseg.recipes.bench.settings import BenchSettings

if TYPE_CHECKING:
    import torch

    from hyperseg.dpm.denoise import Sampled
    from hyperseg.dpm.model import DiffusionModel


def make_cells(
    root: Path, cells: Sequence[Cell], model: DiffusionModel, judge: Judge, pictures: Pictures,
    settings: BenchSettings, runtime: Runtime,
) -> dict[str, Any]:  # fmt: skip
    """Make the cells and append them to the file.

    Returns:
        what bench.json is told of it.
    """
    bench = Bench(model, None, pictures.x.to(runtime.device), judge, settings.samples, settings.seed, runtime.device)
    sampled = [cell for cell in cells if cell.kind != "speed-up"]
    total, label = bench.parts * sum(cell.calls for cell in sampled), f"Sampling {counted(len(sampled), 'cell')}"
    done = 0
    with counted_progress(label, unit="calls", quiet=runtime.quiet) as progress:

        def tick() -> None:
            nonlocal done
            done += 1
            progress(min(done, total), total)

        ticking = replace(bench, tick=tick)
        for cell in sampled:
            append_row(root, _sampled(cell, ticking))
    trained = [cell for cell in cells if cell.kind == "speed-up"]
    for name in dict.fromkeys(cell.method for cell in trained):
        _speed_up(root, name, [cell for cell in trained if cell.method == name], bench, pictures, runtime)
    return {}


def _sampled(cell: Cell, bench: Bench) -> Row:
    sampler, model = SAMPLERS[cell.method], bench.of(cell)
    grid = grid_of(sampler, model.schedule, cell.asked).to(bench.device)
    made = make_samples(bench, sampler, model.denoise(), grid)
    return row_of(cell, made, bench, family=sampler.family, spacing=grid.spacing, order=sampler.order)


def _speed_up(
    root: Path, name: str, cells: Sequence[Cell], bench: Bench, pictures: Pictures, runtime: Runtime
) -> None:  # fmt: skip
    speedup = FASTER[name]
    labels = None if pictures.labels is None else pictures.labels.to(runtime.device)
    makers = speedup.train(bench.model, bench.data, labels, runtime.within(name, name))
    for cell in cells:
        generate = makers[cell.asked]

        def part(n: int, generators: tuple[torch.Generator, torch.Generator]) -> Sampled:
            made: Sampled = generate(n, generators[0])  # noqa: B023
            return made

        append_row(root, row_of(cell, in_parts(bench, part), bench, family=speedup.family, spacing="", order=None))
