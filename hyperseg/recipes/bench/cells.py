"""All cells that are missing, one after the other, each written as soon as it is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted
from hyperseg.dpm.adapters import Extra
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.grid import Grid, make_grid, most_noise
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.selection import select_grids
from hyperseg.dpm.stored import read_model, write_model
from hyperseg.engine.progress import counted_progress
from hyperseg.recipes.bench.data import Pictures
from hyperseg.recipes.bench.folder import HEADS
from hyperseg.recipes.bench.judge import Judge
from hyperseg.recipes.bench.likelihoods import bound_bits, flow_bits
from hyperseg.recipes.bench.making import FITTED_ON, Bench, in_parts, make_samples, refused_row, row_of
from hyperseg.recipes.bench.plan import OF_STEPS, Cell
from hyperseg.recipes.bench.rows import Row, append_row
from hyperseg.recipes.bench.settings import MANY, BenchSettings

CHOSEN_ON = 64  # training samples whose bound decides the steps

if TYPE_CHECKING:
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
    held_out = pictures.test_x.to(runtime.device)
    bench = Bench(
        model, None, pictures.x.to(runtime.device), held_out, judge, settings.samples, settings.seed, runtime.device,
        pictures.levels,
    )  # fmt: skip
    needed = {head for cell in cells if (head := _head(cell)) is not None}
    if needed - set(model.extras):
        bench = replace(bench, heads=_with_heads(root, model, bench.data, runtime))
    _sample_all(root, [cell for cell in cells if cell.kind != "speed-up"], bench, quiet=runtime.quiet)
    trained = [cell for cell in cells if cell.kind == "speed-up"]
    for name in dict.fromkeys(cell.method for cell in trained):
        _speed_up(root, name, [cell for cell in trained if cell.method == name], bench, pictures, runtime)
    return {"nll": flow_bits(model, held_out, levels=pictures.levels, seed=settings.seed, most=bench.most)}


def _head(cell: Cell) -> str | None:
    return None if cell.kind == "speed-up" else SAMPLERS[cell.method].needs


def _with_heads(root: Path, model: DiffusionModel, data: Tensor, runtime: Runtime) -> DiffusionModel:
    """The model with all heads that any sampler needs, trained in a second phase; its prediction stays what it was."""
    from hyperseg.dpm.extras import add_extras

    file = root / HEADS
    if file.exists():
        return read_model(file).to(runtime.device)
    heads = tuple(head for head in get_args(Extra) if model.schedule.steps or head not in OF_STEPS)
    found = add_extras(model, data, runtime, heads, title="heads")
    write_model(file, found, overwrite=True)
    return found


def _sample_all(root: Path, cells: Sequence[Cell], bench: Bench, *, quiet: bool) -> None:
    total, label = bench.parts * sum(cell.calls for cell in cells), f"Sampling {counted(len(cells), 'cell')}"
    done = 0
    with counted_progress(label, unit="calls", quiet=quiet) as progress:

        def tick() -> None:
            nonlocal done
            done += 1
            progress(min(done, total), total)

        ticking, chosen = replace(bench, tick=tick), _chosen_grids(cells, bench)
        for cell in cells:
            try:
                row = _sampled(cell, ticking, chosen)
            except SettingError as error:  # what only this number of calls brings out: the other cells are made
                row = refused_row(cell, SAMPLERS[cell.method].family, str(error))
            append_row(root, row)


def _chosen_grids(cells: Sequence[Cell], bench: Bench) -> dict[int, Grid]:
    """Steps that are best in the variational bound of some training data, by their number; one measurement for all."""
    steps = [SAMPLERS[cell.method].steps(cell.asked) for cell in cells if cell.kind == "chosen"]
    if not steps:
        return {}
    generator = torch.Generator(bench.device).manual_seed(bench.seed)
    schedule = bench.model.schedule
    candidates = make_grid(schedule, MANY, "lu", first=most_noise(schedule)).sigmas[:-1]
    found = select_grids(
        bench.model.denoise(), bench.data[:CHOSEN_ON].double(), schedule, steps, generator=generator,
        candidates=candidates, bins=bench.levels,
    )  # fmt: skip
    return {n: one.grid for n, one in found.items()}


def _sampled(cell: Cell, bench: Bench, chosen: Mapping[int, Grid]) -> Row:
    sampler, model = SAMPLERS[cell.method], bench.of(cell)
    denoise = model.denoise()
    grid = sampler.grid(model.schedule, cell.asked)
    grid = (chosen[grid.steps] if cell.kind == "chosen" else grid).to(bench.device)
    made = make_samples(bench, sampler, denoise, grid)
    row = row_of(cell, made, bench, family=sampler.family, spacing=grid.spacing, order=sampler.order)
    bits = None if cell.kind == "raw" else bound_bits(
        sampler, denoise, bench.held_out, grid, data=bench.data[:FITTED_ON], levels=bench.levels, seed=bench.seed,
        most=bench.most,
    )  # fmt: skip
    return replace(row, nll=bits)


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
