"""`bench_samplers`: one model, every sampler at every number of network calls, one table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, to_json
from hyperseg.core.words import counted, duration, thousands
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.stored import MODEL
from hyperseg.engine.progress import say
from hyperseg.metrics.generation import few_samples
from hyperseg.recipes.bench.data import PICTURES, Pictures, load_pictures, name_of
from hyperseg.recipes.bench.folder import JUDGE, UNFINISHED, Begun, at_work, standing, write_bench
from hyperseg.recipes.bench.judge import Judge
from hyperseg.recipes.bench.pace import Pace, scaled
from hyperseg.recipes.bench.plan import Cell, Planned, plan_cells
from hyperseg.recipes.bench.preparing import (
    check_features,
    described,
    judge_of,
    model_of,
    network_told,
    pace_for,
    sampled_by,
)  # fmt: skip
from hyperseg.recipes.bench.rows import Row, read_rows
from hyperseg.recipes.bench.settings import Asked, BenchSettings, asked_now, refuse_other, refuse_unread
from hyperseg.recipes.bench.showing.findings import far_from_real
from hyperseg.recipes.bench.showing.table import groups


@dataclass(frozen=True)
class Benched:
    """A finished benchmark: its folder, cells, and what stands in bench.json."""

    root: Path
    rows: tuple[Row, ...]
    found: dict[str, Any]


@dataclass(frozen=True)
class Order:
    """Everything that was checked before any work.

    Attributes:
        root: folder.
        settings: of every cell.
        planned: the cells.
        pictures: the data.
        minutes: what training and samples are scaled to when it begins, or None.
        begun_on: kind of device of the benchmark that is there and goes on; None where one begins.
        overwrite: a benchmark that is there goes first.
        asked: samplers and calls that it was begun with; empty where nobody knows.
    """

    root: Path
    settings: BenchSettings
    planned: Planned
    pictures: Pictures
    minutes: float | None
    begun_on: str | None
    overwrite: bool
    asked: Mapping[str, Any]


def bench_samplers(
    data: str | None = None, *, out: str | Path | None = None, samplers: tuple[str, ...] | None = None,
    nfes: tuple[int, ...] | None = None, given: Mapping[str, Any] | None = None, minutes: float | None = None,
    folder: Path | None = None, device: str = "auto", resume: bool = False, overwrite: bool = False,
    quiet: bool = False,
) -> Benched:  # fmt: skip
    """Train or load a model of the data, run samplers at numbers of network calls from the same noise, and compare.

    Args:
        data: a set by its name, or a folder of images; None is as begun, or the first of the table.
        out: folder of the benchmark; None is runs/samplers-DATA.
        samplers: names of samplers and of speed-ups that train; () are all that can be used here, None those that the
            benchmark was begun with, or all.
        nfes: network calls of a sample; () are the usual ones, None those that it was begun with, or the usual ones.
        given: other settings that are not the usual ones, by name, see `BenchSettings`.
        minutes: training steps and samples are chosen so that all takes about so long.
        folder: where the files of a named set are; None takes HYPERSEG_DATA.
        device: see `choose_device`.
        resume: go on with the benchmark in `out`, or add cells to it.
        overwrite: remove the benchmark in `out` first.
        quiet: no progress.

    Raises:
        SettingError, DataFileError, RunError: what cannot be done, before any training.
    """
    from hyperseg.engine.device import choose_device

    order = check_order(
        data, out=out, samplers=samplers, nfes=nfes, given=given or {}, minutes=minutes, folder=folder,
        resume=resume, overwrite=overwrite,
    )  # fmt: skip
    where = str(choose_device(device))
    if order.begun_on not in (None, where.partition(":")[0]):
        raise RunError(
            f"{order.root}: this benchmark was begun on {order.begun_on}, where a seed gives other noise than on "
            f"{where}: go on with --device {order.begun_on}, or take another --out."
        )
    runtime = Runtime(
        order.settings.seed, where, checkpoints=order.root / UNFINISHED / "training", quiet=quiet
    )  # fmt: skip
    with at_work(order.root, overwrite=order.overwrite):
        return _worked_off(order, runtime)


def check_order(
    data: str | None, *, out: str | Path | None, samplers: tuple[str, ...] | None, nfes: tuple[int, ...] | None,
    given: Mapping[str, Any], minutes: float | None, folder: Path | None, resume: bool, overwrite: bool,
) -> Order:  # fmt: skip
    """Everything that can be refused is refused here; nothing is written. See `bench_samplers`."""
    from hyperseg.recipes.bench.making import FITTED_ON, try_out

    wanted = {**({} if data is None else {"data": data}), **given}
    usual = BenchSettings()
    root = Path("runs") / f"samplers-{name_of(wanted.get('data', usual.data))}" if out is None else Path(out)
    if minutes is not None and not 0 < minutes < math.inf:
        raise SettingError(f"--minutes is a number above 0, got {minutes}.")
    begun = standing(root, resume=resume, overwrite=overwrite)
    asked = asked_now(samplers, nfes, {} if begun is None else begun.asked)
    settings = changed(usual if begun is None else begun.settings, wanted)
    if begun is not None:
        refuse_other(begun.settings, settings, root)
    if minutes is not None and ("steps" in given or "samples" in given):
        raise SettingError("--minutes chooses training steps and samples: leave out --train-steps and --samples.")
    if begun is not None and minutes not in (None, begun.found.get("minutes")):
        raise RunError(
            f"{root}: training steps and samples were chosen when this benchmark was begun, --minutes {minutes:g} "
            "cannot change them. Leave it out to go on, or take another --out."
        )
    refuse_unread(settings, given)
    pictures = load_pictures(settings.data, folder=folder)
    if settings.data not in PICTURES and root.resolve().is_relative_to(Path(settings.data).resolve()):
        raise SettingError(
            f"{root}: lies in the folder of the data, and its pictures would be taken for data. Take another --out."
        )
    if begun is not None:
        _refuse_other_data(begun, pictures, root)
    check_features(settings, pictures)
    own = _with_own_model(root, settings, goes_on=begun is not None)
    schedule, says, raw = sampled_by(own, tuple(pictures.x.shape[1:]))
    planned = plan_cells(asked, schedule, speedups=FASTER, says=says, raw=raw)
    some = pictures.x[:FITTED_ON]
    planned = _tried(planned, asked, lambda name, nfe: try_out(SAMPLERS[name], schedule, nfe, some))
    if begun is not None and minutes is None:
        minutes = begun.found.get("minutes")
    begun_on = None if begun is None else str(begun.found.get("device", "cpu")).partition(":")[0]
    first = {"samplers": asked.methods, "nfes": asked.nfes} if begun is None else begun.asked
    return Order(root, settings, planned, pictures, minutes, begun_on, overwrite, first)


def _with_own_model(root: Path, settings: BenchSettings, *, goes_on: bool) -> BenchSettings:
    """The settings, with the model that the benchmark has already, wherever it came from."""
    own = root / MODEL
    return replace(settings, model=str(own)) if goes_on and own.exists() else settings


def _refuse_other_data(begun: Begun, pictures: Pictures, root: Path) -> None:
    if begun.data.get("checksum") != pictures.checksum:
        raise RunError(
            f"{root}: this benchmark was begun with other values of {begun.data.get('name')} (checksum "
            f"{begun.data.get('checksum')}, now {pictures.checksum}). Put the data back, or take another --out."
        )


def _tried(planned: Planned, asked: Asked, try_one: Callable[[str, int], None]) -> Planned:
    """Without the samplers that refuse their schedule; refused at once where they were asked for by name."""
    refused: dict[str, str] = {}
    for name in dict.fromkeys(cell.method for cell in planned.cells if cell.kind == "sampler"):
        fewest = min(cell.asked for cell in planned.cells if cell.method == name and cell.kind == "sampler")
        try:
            try_one(name, fewest)
        except SettingError as error:
            if asked.methods:
                raise SettingError(f"{name} cannot be used here: {error}") from error
            refused[name] = str(error)
    cells = tuple(cell for cell in planned.cells if cell.method not in refused)
    left = tuple(f"left out: {name}: {why}" for name, why in refused.items())
    return replace(planned, cells=cells, left_out=planned.left_out + left)


def _worked_off(order: Order, runtime: Runtime) -> Benched:
    """Train, make every cell that is not there yet, and write what there is to look at."""
    from hyperseg.recipes.bench.cells import make_cells
    from hyperseg.recipes.bench.showing.page import write_results
    from hyperseg.recipes.run.outputs import threads, versions

    root, planned, pictures = order.root, order.planned, order.pictures
    done = read_rows(root)
    missing = [cell for cell in planned.cells if cell.key not in done]
    settings, pace = _paced(order, runtime)
    for line in planned.left_out:
        say(line, quiet=runtime.quiet)
    say(_forecast(settings, pace, missing, trained=(root / MODEL).exists()), quiet=runtime.quiet)
    data = described(pictures)
    found: dict[str, Any] = {
        "versions": {**versions(), "threads": str(threads())}, "device": runtime.device,
        "left_out": list(planned.left_out), "samples": settings.samples, "minutes": order.minutes,
        **({"asked": dict(order.asked)} if order.asked else {}),
    }  # fmt: skip
    write_bench(root, settings, data, found, finished=False)
    seconds: dict[str, float] = {}
    with _timed(seconds, "network of the features"):
        judge, judged = judge_of(settings, pictures, replace(runtime, checkpoints=root / JUDGE / JUDGE))
    found |= judged
    with _timed(seconds, "training"):
        model = model_of(root, settings, pictures, runtime)
    found["network"] = network_told(model)
    write_bench(root, settings, data, found, finished=False)
    with _timed(seconds, "cells"):
        found |= make_cells(root, missing, model, judge, pictures, settings, runtime)
    rows = tuple(_in_order(read_rows(root)))
    found |= {"seconds": seconds, "cautions": _cautions(judge, settings, rows, found), "rows": len(rows)}
    shown = {**found, "settings": to_json(settings), "data": data}
    write_results(root, rows, shown, pictures.test_x, FASTER)
    write_bench(root, settings, data, found, finished=True)
    return Benched(root, rows, shown)


def _paced(order: Order, runtime: Runtime) -> tuple[BenchSettings, Pace]:
    """The settings, scaled where minutes are given, and what this machine takes."""
    settings, shape = order.settings, tuple(order.pictures.x.shape[1:])
    pace = pace_for(_with_own_model(order.root, settings, goes_on=order.begun_on is not None), shape, runtime.device)
    if order.minutes is None or order.begun_on is not None:
        return settings, pace
    return scaled(settings, pace, order.planned.calls, order.minutes), pace


def _forecast(settings: BenchSettings, pace: Pace, cells: Sequence[Cell], *, trained: bool) -> str:
    """What is to be done, and about how long it takes."""
    calls = sum(cell.calls for cell in cells)
    steps = 0 if trained or settings.model else settings.steps
    seconds = pace.seconds(steps, calls * settings.samples)
    training = f"{thousands(steps)} training steps, " if steps else ""
    return (
        f"about {duration(seconds)}: {training}{counted(len(cells), 'cell')}, {thousands(calls)} network calls for "
        f"{thousands(settings.samples)} samples each; trainings of faster methods come on top"
    )


def _cautions(judge: Judge, settings: BenchSettings, rows: Sequence[Row], found: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the distances."""
    floor, distance = found["floor"]["fd"], found["features"]["distance"]
    told = [far_from_real(rows, floor, distance=distance, given=bool(settings.model))]
    told.append(few_samples(settings.samples, judge.reference.dims))
    told.append(
        "One training, one seed: the ± is the spread over samples alone. Rows that differ by less than two of them are "
        "equal."
    )
    return list(filter(None, told))


def _in_order(rows: Mapping[str, Row]) -> list[Row]:
    """As in the table, whatever the order in which cells were made."""
    return [row for _, group in groups(rows.values()) for row in group]


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began
