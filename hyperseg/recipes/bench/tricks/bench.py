"""`bench_tricks`: a baseline, each trick alone, all that helped, on the same folds and seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import LabelError, Scene, SettingError
from hyperseg.core.settings import changed, to_json
from hyperseg.core.words import counted, duration
from hyperseg.engine.progress import counted_progress, say
from hyperseg.recipes.bench.comparing.begun import Begun
from hyperseg.recipes.bench.folder import at_work
from hyperseg.recipes.bench.rows import append_line, read_lines
from hyperseg.recipes.bench.tricks.folder import FILES, FOLDERS, KEPT
from hyperseg.recipes.bench.tricks.judging import Result, by_row, judge
from hyperseg.recipes.bench.tricks.on_scene import SceneSource
from hyperseg.recipes.bench.tricks.ordering import Order, check_order
from hyperseg.recipes.bench.tricks.pace import cost_of
from hyperseg.recipes.bench.tricks.preparing import Prepared, with_stored
from hyperseg.recipes.bench.tricks.rows import PLAIN, Cell, Row, Task, combined, read_cell, tasks_of
from hyperseg.recipes.bench.tricks.settings import TricksSettings
from hyperseg.recipes.bench.tricks.showing.page import write_results
from hyperseg.recipes.bench.tricks.showing.table import Measure
from hyperseg.recipes.bench.working import Each, workers

SHORT = "Short trainings of a small network: what helps here need not help a long training, and the other way round."


@dataclass(frozen=True)
class TricksBenched:
    """A finished benchmark: its folder, what was found, all cells, and what stands in bench.json."""

    root: Path
    result: Result
    measure: Measure
    cells: tuple[Cell, ...]
    found: dict[str, Any]
    shared: bool


def bench_tricks(
    target: str | Path | Scene, *, out: str | Path | None = None, tricks: Sequence[str] | None = None,
    seeds: int | None = None, minutes: float | None = None, plan: Path | None = None, labels: str | None = None,
    folder: Path | None = None, given: Mapping[str, Any] | None = None, jobs: int = 1, device: str = "auto",
    resume: bool = False, overwrite: bool = False, quiet: bool = False,
) -> TricksBenched:  # fmt: skip
    """Measure what each trick alone brings to a baseline, and all that helped together.

    Args:
        target: a folder of images or volumes, or a scene: a data set's name, a file, or the scene itself.
        out: folder of the benchmark; None is runs/tricks-NAME.
        tricks: as they are spelled, "oversampling:share=0.5"; "all" is every one that needs nothing given. None is as
            begun, or all.
        seeds: of weights and batches for each fold of a folder, 2 or more; of a scene the number of splits. None is as
            begun, or 3 (10).
        minutes: that all of a folder takes; the steps of every training follow from it.
        plan: file with a plan of the folder; without it one is made that fits the minutes.
        labels: file of a scene's labels.
        folder: where a data set's own files are.
        given: other settings that are not the usual ones, by name, see `TricksSettings`.
        jobs: processes at work side by side, one thread each. Other than 1 only where the calling module is protected
            by `if __name__ == "__main__"`, see Python's `multiprocessing`.
        device: see `choose_device`.
        resume: go on with the benchmark in `out`, also with more tricks or seeds.
        overwrite: remove the benchmark in `out` first.
        quiet: no progress.

    Raises:
        HypersegError: what cannot be done, before any training.
    """
    order = check_order(
        target, out=out, tricks=tricks, seeds=seeds, minutes=minutes, plan=plan, labels=labels, folder=folder,
        given=given or {}, jobs=jobs, device=device, resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    with at_work(order.root, overwrite=overwrite, files=FILES, folders=FOLDERS):
        return _worked_off(order)


def _worked_off(order: Order) -> TricksBenched:
    """Make every cell that is not there yet, then those of all that helped, and write what there is to look at."""
    began, root, made, begun = time.monotonic(), order.root, order.made, order.begun
    for line in made.left_out:
        say(line, quiet=order.quiet)
    KEPT.write(root, begun, finished=False)
    made, rows = with_stored(made, made.rows, root, quiet=order.quiet), (PLAIN, *made.rows)
    with workers(made.source, order.jobs) as each:
        if order.minutes is not None:
            begun = replace(begun, settings=_paced(order, rows, each))
            KEPT.write(root, begun, finished=False)
        _make(order, begun, rows, each)
    result = _judged(order, begun, None)
    together = combined((row.row, row.gain.mean) for row in result.of("helps") if row.gain is not None)
    if together is not None:
        try:
            _fits(made, together)
            made = with_stored(made, (together,), root, quiet=order.quiet)  # maybe as no single row is
        except (LabelError, SettingError) as why:
            say(f"all that helped do not go together: {why}", quiet=order.quiet)
            together = None
    if together is not None:
        say(f"all that helped: {together.key}", quiet=order.quiet)
        with workers(made.source, order.jobs) as each:  # new processes, which know what was prepared last
            _make(order, begun, (together,), each)
        result = _judged(order, begun, together)
    found = {**begun.found, "seconds": begun.found["seconds"] + time.monotonic() - began}
    begun = replace(begun, found=found)
    cells = _wanted(read_lines(root, read_cell), order)
    told = {
        **found, "name": made.data["name"], "settings": {**to_json(begun.settings), "seeds": begun.seeds},
        "lead": _lead(order, begun), "cautions": [] if made.on_scene else [SHORT],
    }  # fmt: skip
    write_results(root, result, made.measure, told, shared=not made.on_scene)
    KEPT.write(root, begun, finished=True)
    return TricksBenched(root, result, made.measure, cells, told, not made.on_scene)


def _lead(order: Order, begun: Begun) -> tuple[str, ...]:
    if order.made.on_scene:
        return (order.made.lead,)
    seeds = (
        f"{counted(begun.seeds, 'seed')} of weights and batches, {counted(begun.settings.steps, 'step')} a training."
    )
    return (order.made.lead, seeds)


def _fits(made: Prepared, row: Row) -> None:
    match made.source:
        case SceneSource() as source:
            source.check(row, source.task(0))
        case source:
            source.check(row)


def _paced(order: Order, rows: Sequence[Row], each: Each) -> TricksSettings:
    """The settings with as many steps as fit into the minutes."""
    made, begun = order.made, order.begun
    assert order.minutes is not None
    paces = []
    with counted_progress("Trying a few steps", unit="rows", quiet=order.quiet) as progress:
        for pace in each("trial", rows):
            paces.append(pace)
            progress(len(paces), len(rows))
    cost = cost_of(paces, cells=made.folds * begun.seeds, cases=made.held_out * begun.seeds)
    steps = cost.steps(order.minutes, order.jobs)
    say(
        f"about {duration(cost.seconds(steps, order.jobs))}: {counted(len(rows), 'row')} of "
        f"{counted(made.folds * begun.seeds, 'cell')} with {counted(steps, 'step')} each, and all that helped",
        quiet=order.quiet,
    )  # fmt: skip
    return changed(begun.settings, {"steps": steps})


def _make(order: Order, begun: Begun, rows: Sequence[Row], each: Each) -> None:
    """Every cell of the rows that is not there yet, written as soon as it is finished."""
    made, steps = order.made, begun.settings.steps
    done = {cell.at for cell in read_lines(order.root, read_cell)}
    if made.on_scene:
        tasks = tasks_of(rows, done, folds=made.folds, seeds=1, steps=steps)
        again = [Task(PLAIN, (PLAIN,), fold, 1, steps) for fold in range(made.folds)]
        tasks += [task for task in again if PLAIN in rows and (PLAIN.key, task.fold, 1) not in done]
    else:
        tasks = tasks_of(rows, done, folds=made.folds, seeds=begun.seeds, steps=steps)
    source_rows = [row for task in tasks for row in task.rows]
    with counted_progress(f"Cells of {made.data['name']}", unit="cells", quiet=order.quiet) as progress:
        n = 0
        for cells in each("make", tasks):
            for cell in cells:
                append_line(order.root, asdict(cell))
                n += 1
            progress(n, len(source_rows))


def _wanted(cells: Sequence[Cell], order: Order) -> tuple[Cell, ...]:
    """In the order of rows, seeds and folds, whatever the order in which they were made."""
    seeds = 2 if order.made.on_scene else order.begun.seeds
    kept = {cell.at: cell for cell in cells if cell.fold < order.made.folds and cell.seed < seeds}
    return tuple(kept[at] for at in sorted(kept))


def _judged(order: Order, begun: Begun, together: Row | None) -> Result:
    cells = by_row(_wanted(read_lines(order.root, read_cell), order))
    return judge(order.made.rows, together, cells, shared=not order.made.on_scene)
