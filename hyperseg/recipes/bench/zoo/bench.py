"""`bench_zoo`: every network by one recipe, with the same data, steps and seeds, beside baselines and peers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import Scene, SettingError
from hyperseg.core.settings import changed, to_json
from hyperseg.core.words import counted, duration
from hyperseg.engine.progress import counted_progress, say
from hyperseg.recipes.bench.comparing.begun import Begun
from hyperseg.recipes.bench.folder import at_work
from hyperseg.recipes.bench.rows import append_line, read_lines
from hyperseg.recipes.bench.working import Each, workers
from hyperseg.recipes.bench.zoo.choosing import ALL
from hyperseg.recipes.bench.zoo.folder import FILES, FOLDERS, KEPT
from hyperseg.recipes.bench.zoo.judging import Judged, judge
from hyperseg.recipes.bench.zoo.ordering import Order, check_order
from hyperseg.recipes.bench.zoo.pace import Pace, fitting_steps, paces_of, seconds_of
from hyperseg.recipes.bench.zoo.preparing import check_room, with_stored
from hyperseg.recipes.bench.zoo.rows import At, Cell, Row, Task, latest, read_cell, tasks_of
from hyperseg.recipes.bench.zoo.showing.page import write_results
from hyperseg.recipes.bench.zoo.showing.table import Measure

SHORT = (
    "One short recipe for all: what is best here need not be best after a long training, or with a recipe of its own."
)


@dataclass(frozen=True)
class ZooBenched:
    """A finished benchmark: its folder, the rows, all cells, and what stands in bench.json."""

    root: Path
    rows: tuple[Judged, ...]
    measure: Measure
    cells: tuple[Cell, ...]
    found: dict[str, Any]


def bench_zoo(
    target: str | Path | Scene, *, out: str | Path | None = None, members: Sequence[str] | None = None,
    seeds: int | None = None, minutes: float | None = None, labels: str | None = None, folder: Path | None = None,
    given: Mapping[str, Any] | None = None, jobs: int = 1, device: str = "auto", resume: bool = False,
    overwrite: bool = False, quiet: bool = False,
) -> ZooBenched:  # fmt: skip
    """Compare the networks of the zoo on a folder or a scene.

    Args:
        target: a folder of images or volumes, or a scene: a data set's name, a file, or the scene itself.
        out: folder of the benchmark; None is runs/zoo-NAME.
        members: names of networks, with settings as they are spelled, and of peers ("monai:UNet"); "all" is every
            one. None is as begun, or all. Baselines, and of folders the U-Net that all are compared with, are always
            rows.
        seeds: of weights and batches for each fold of a folder; of a scene the number of splits. None is as begun, or
            1 (5).
        minutes: that all may take; the steps of every training follow from it.
        labels: file of a scene's labels.
        folder: where a data set's own files are.
        given: other settings that are not the usual ones, by name, see `ZooBenchSettings`.
        jobs: processes at work side by side, one thread each. Other than 1 only where the calling module is protected
            by `if __name__ == "__main__"`, see Python's `multiprocessing`.
        device: see `choose_device`.
        resume: go on with the benchmark in `out`, also with more members or seeds.
        overwrite: remove the benchmark in `out` first.
        quiet: no progress.

    Raises:
        HypersegError: what cannot be done, before any training.
    """
    order = check_order(
        target, out=out, members=members, seeds=seeds, minutes=minutes, labels=labels, folder=folder,
        given=given or {}, jobs=jobs, device=device, resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    with at_work(order.root, overwrite=overwrite, files=FILES, folders=FOLDERS):
        return _worked_off(order)


def _worked_off(order: Order) -> ZooBenched:
    """Try what was not tried, decide the steps, make every cell that is not there yet, and write what there is."""
    began, root, made, begun = time.monotonic(), order.root, order.made, order.begun
    for line in made.left_out:
        say(line, quiet=order.quiet)
    KEPT.write(root, begun, finished=False)
    left_out: list[str] = list(made.left_out)
    if _missing(order, made.rows, begun.settings.steps or 1):
        made = with_stored(made, root, quiet=order.quiet)
        order = replace(order, made=made)
        with workers(made.source, order.jobs) as each:
            tasks = _missing(order, made.rows, 0)
            first = [task for task in tasks if task.row.kind == "baseline" and task.fold == task.seed == 0]
            _make(order, first, each, "Baselines")
            paces, more = _tried(order, each)
            left_out += more
            rows = tuple(row for row in made.rows if not (row.key in paces and paces[row.key].note))
            steps = _steps(order, rows, paces)
            begun = replace(begun, settings=changed(begun.settings, {"steps": steps}))
            KEPT.write(root, begun, finished=False)
            _make(order, _missing(order, rows, steps), each, f"Cells of {made.data['name']}")
    cells = _wanted(order)
    rows_judged = judge(made.rows, latest(cells), reference=made.reference, on_scene=made.on_scene)
    found = {
        **begun.found, "seconds": begun.found["seconds"] + time.monotonic() - began,
        "left_out": list(dict.fromkeys(left_out)),
    }  # fmt: skip
    begun = replace(begun, found=found)
    told = {
        **found, "name": made.data["name"], "settings": {**to_json(begun.settings), "seeds": begun.seeds},
        "lead": (made.lead, _recipe(order, begun)), "cautions": [SHORT],
    }  # fmt: skip
    write_results(root, rows_judged, made.measure, told, reference=made.reference)
    KEPT.write(root, begun, finished=True)
    return ZooBenched(root, rows_judged, made.measure, cells, told)


def _recipe(order: Order, begun: Begun) -> str:
    steps = counted(begun.settings.steps, "step")
    if order.made.on_scene:
        return f"{steps} a training, AdamW over one cycle, for all networks and peers."
    return f"{counted(begun.seeds, 'seed')} of weights and batches, {steps} a training, AdamW over one cycle."


def _missing(order: Order, rows: Sequence[Row], steps: int) -> list[Task]:
    seeds = 1 if order.made.on_scene else order.begun.seeds
    done = [at for at, cell in latest(read_lines(order.root, read_cell)).items() if not cell.note]
    return tasks_of(rows, done, folds=order.made.folds, seeds=seeds, steps=steps)


def _tried(order: Order, each: Each) -> tuple[dict[str, Pace], list[str]]:
    """Paces by row; and sentences about networks that failed in their trial.

    Raises:
        SettingError: one of them was asked for by its name, or is what all others are compared with.
    """
    paces = paces_of(read_lines(order.root, read_cell))
    rows = [row for row in order.made.rows if row.key not in paces and row.kind != "baseline"]
    with counted_progress("Trying a few steps", unit="networks", quiet=order.quiet) as progress:
        for n, pace in enumerate(each("trial", rows), 1):
            paces[pace.row] = pace
            progress(n, len(rows))
    faults = [pace for pace in paces.values() if pace.note]
    named = {name for name in order.begun.asked if name != ALL} | {order.made.reference}
    for pace in faults:
        if pace.row in named:
            raise SettingError(f"{pace.row} cannot be trained here: {pace.note}")
    lines = [f"left out: {pace.row}: {pace.note}" for pace in faults]
    for line in lines:
        say(line, quiet=order.quiet)
    peak = max((pace.peak or 0 for pace in paces.values()), default=0)
    check_room(order.jobs * peak, order.begun.found["device"])
    return paces, lines


def _steps(order: Order, rows: Sequence[Row], paces: Mapping[str, Pace]) -> int:
    """Steps of every training, and the estimate, which is told."""
    begun, tasks = order.begun, _missing(order, rows, 1)
    steps = begun.settings.steps
    if order.minutes is not None:
        most = order.most_steps or 10**6
        steps = fitting_steps(tasks, paces, order.minutes, order.jobs, most)
    peak = max((pace.peak or 0 for pace in paces.values()), default=0)
    room = f", {peak / 1e6:.0f} MB each at most" if peak else ""
    say(
        f"about {duration(seconds_of(tasks, paces, steps, order.jobs))}: {counted(len(tasks), 'cell')} of "
        f"{counted(len(rows), 'row')} with {counted(steps, 'step')} each, {counted(order.jobs, 'job')} side by side"
        f"{room}",
        quiet=order.quiet,
    )  # fmt: skip
    return steps


def _make(order: Order, tasks: Sequence[Task], each: Each, title: str) -> None:
    """Every cell of the tasks, written as soon as it is finished."""
    if not tasks:
        return
    with counted_progress(title, unit="cells", quiet=order.quiet) as progress:
        for n, cell in enumerate(each("make", tasks), 1):
            append_line(order.root, asdict(cell))
            if cell.note:
                say(f"{cell.row}, fold {cell.fold}: {cell.note}", quiet=order.quiet)
            progress(n, len(tasks))


def _wanted(order: Order) -> tuple[Cell, ...]:
    """In the order of rows, seeds and folds, whatever the order in which they were made."""
    seeds = 1 if order.made.on_scene else order.begun.seeds
    kept: dict[At, Cell] = latest(read_lines(order.root, read_cell))
    return tuple(kept[at] for at in sorted(kept) if at[1] < order.made.folds and at[2] < seeds)
