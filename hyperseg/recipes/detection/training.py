"""From a folder with boxes to a trained detector and its supervised twin, both scored on cases that neither saw."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, duration
from hyperseg.engine.meter import metered
from hyperseg.engine.progress import counted_progress, say, working
from hyperseg.io.detections.case import BoxFolder
from hyperseg.io.detections.table import write_boxes
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import refuse_existing
from hyperseg.metrics.froc import Truth
from hyperseg.recipes.detection.folder import (
    BESIDE,
    CACHE,
    FOUND,
    METRICS,
    UNFINISHED,
    DetectRun,
    Record,
    load_network,
    read_run,
    write_network,
    write_run,
)
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.recipes.detection.learning import Pool, curves_of, learn, start_net, steps_in
from hyperseg.recipes.detection.preparing import contents_of, look_at, opened, prepare, prints_of, say_remarks
from hyperseg.recipes.detection.reporting.run_page import write_run_page
from hyperseg.recipes.detection.settings import FOCALMIX, SUPERVISED, twin_of
from hyperseg.recipes.detection.starting import (
    Cases,
    Order,
    as_begun,
    boxes_of,
    check_unlabelled,
    divided,
    planned,
    start,
    without_copies,
)
from hyperseg.recipes.detection.trying import Tried, found_in, try_detector


def train_detectors(
    folder: BoxFolder, root: Path, order: Order, runtime: Runtime, *, boxes: str = "", pool: str = "",
    spacing: Sequence[float] = (), resume: bool = False, overwrite: bool = False,
) -> DetectRun:  # fmt: skip
    """Train a detector into a run folder, its supervised twin beside it, and score both on held-out cases.

    The twin has the same labels, first weights, patches and number of steps. Prepared volumes lie in a folder of the
    run while it is trained and are removed in the end. What is trained already stays; an unfinished training goes on
    where it stopped.

    Args:
        folder: as `open_boxes` gives it.
        root: the run's folder.
        order: what is trained, and how long.
        runtime: seed, device and progress.
        boxes, pool, spacing: as they were named, for the record.
        resume: go on with the run that is there.
        overwrite: a run that is there is removed.

    Raises:
        RunError, SettingError, LabelError, DataFileError: what cannot be done, before training.
    """
    refuse_existing(root, read_run, resume=resume, overwrite=overwrite)
    order = as_begun(root, order, resume=resume)
    division, cases = divided(folder, order, runtime.seed)
    for sentence in (folder.rule, *folder.remarks):
        say(f"{folder.root}: {sentence}", quiet=runtime.quiet)
    with counted_progress(f"Checksums of {folder.root}", unit="cases", quiet=runtime.quiet) as progress:
        contents = contents_of(cases.every, progress)
    division, cases, copies = without_copies(division, cases, contents)
    if copies:
        say(copies, quiet=runtime.quiet)
    say(f"{division.told()} (seed {runtime.seed})", quiet=runtime.quiet)
    settings, plan = planned(cases, order, runtime.device, folder.channels)
    check_unlabelled(division, settings)
    record = Record(
        str(folder.root), boxes, pool, order.method, runtime.seed, division, plan, settings, order.budget,
        steps=order.steps or 0, prints=prints_of(cases.every, contents), spacing=tuple(spacing),
        labelled=order.labelled, test=order.test, versions=_versions(),
    )  # fmt: skip
    run = start(root, record, resume=resume, overwrite=overwrite)
    say(f"plan: {plan.told()}", quiet=runtime.quiet)
    lock = take(root)
    try:
        run = _train(run, cases, runtime, alone=order.alone)
        held_out = [
            opened(case, plan.spacing, channels=plan.spec.channels, axes=plan.spec.n_axes) for case in cases.held_out
        ]
        tried = _tried(run, cases, held_out, runtime)
        run = _scored(run, tried, held_out)
        write_run_page(run, tried, held_out)
        shutil.rmtree(root / CACHE, ignore_errors=True)
    finally:
        lock.release()
    return read_run(root)


def _train(run: DetectRun, cases: Cases, runtime: Runtime, *, alone: bool) -> DetectRun:
    """Train what is missing: the run's own detector, then its twin."""
    twin = _twin(run, alone=alone)
    if run.trained and (twin is None or twin.trained):
        return run
    pool = _pool(run, cases, runtime)
    if not run.record.steps:
        run = _timed(run, pool, runtime, twin=twin is not None)
    run = _learnt(run, pool, runtime)
    if twin is not None and not twin.trained:
        say(f"beside it, {SUPERVISED}: the same labels, patches and steps; --alone leaves it out", quiet=runtime.quiet)
        twin = write_run(twin.root, replace(twin.record, steps=run.record.steps))
        _learnt(twin, pool, runtime)
    return run


def _twin(run: DetectRun, *, alone: bool) -> DetectRun | None:
    """The run of the supervised twin, begun where it is not there; None where there is none to be."""
    if run.record.method != FOCALMIX or alone:
        return None
    root = run.root / BESIDE / SUPERVISED
    if SUPERVISED in run.beside:
        return run.beside[SUPERVISED]
    record = replace(run.record, method=SUPERVISED, settings=twin_of(run.record.settings), found={})
    return write_run(root, record)


def _pool(run: DetectRun, cases: Cases, runtime: Runtime) -> Pool:
    plan, found = run.record.plan, []
    for part, name in ((cases.labelled, "labelled"), (cases.unlabelled, "unlabelled")):
        with counted_progress(f"Preparing {name} cases", unit="cases", quiet=runtime.quiet) as progress:
            ready = prepare(
                part, plan.spacing, run.root / CACHE / name, channels=plan.spec.channels, axes=plan.spec.n_axes,
                with_boxes=name == "labelled", progress=progress,
            )  # fmt: skip
        found.append(ready)
    with counted_progress("Looking at held-out cases", unit="cases", quiet=runtime.quiet) as progress:
        remarks = look_at(cases.held_out, plan, progress)
    say_remarks(
        [*(remark for ready in found for case in ready for remark in case.remarks), *remarks], quiet=runtime.quiet
    )
    return Pool(*found)


def _timed(run: DetectRun, pool: Pool, runtime: Runtime, *, twin: bool) -> DetectRun:
    """The run with as many steps as its minutes allow; some are tried."""
    record = run.record
    with working("Trying how fast steps are", quiet=runtime.quiet):
        steps, seconds = steps_in(
            record.budget["minutes"], start_net(record.plan, runtime), record.settings, record.plan, pool, runtime
        )
    say(
        f"{record.method}: {counted(steps, 'step')} of {seconds:.3g} s, {duration(steps * seconds)} of training "
        f"expected{', then at most as long again for its twin' if twin else ''}",
        quiet=runtime.quiet,
    )
    found = {**record.found, "expected_s": steps * seconds}
    return write_run(run.root, replace(record, steps=steps, found=found))


def _learnt(run: DetectRun, pool: Pool, runtime: Runtime) -> DetectRun:
    """The run with its weights and what the training took."""
    if run.trained:
        return run
    record = run.record
    runtime = replace(runtime, checkpoints=run.root / UNFINISHED)
    net = start_net(record.plan, runtime)
    with metered(runtime.device) as usage:
        history = learn(
            net, record.settings, record.plan, pool, steps=record.steps, runtime=runtime, title=record.method
        )
    costs = {"seconds": history.seconds, "peak_bytes": usage.peak_bytes, "joules": usage.joules}
    run = write_run(
        run.root, replace(record, found={**record.found, "history": curves_of(history), "costs": costs})
    )  # fmt: skip
    write_network(run, net.state_dict())
    for file in run.root.glob(f"{UNFINISHED}-*"):
        file.unlink(missing_ok=True)
    return run


def _tried(run: DetectRun, cases: Cases, volumes: Sequence[Volume], runtime: Runtime) -> dict[str, Tried]:
    """What each trained detector is worth on the held-out cases, by name; nothing where they hold no object."""
    truth = [Truth(boxes_of(case), case.excluded) for case in cases.held_out]
    if not any(len(one.boxes) for one in truth):
        return {}
    found: dict[str, Tried] = {}
    for one in (run, *run.beside.values()):
        if not one.trained:
            continue
        title = f"Finding in held-out cases, {one.record.method}"
        with counted_progress(title, unit="cases", quiet=runtime.quiet) as progress:
            found[one.record.method] = try_detector(
                load_network(one), run.record.plan, volumes, truth, device=runtime.device, progress=progress
            )
    return found


def _scored(run: DetectRun, tried: dict[str, Tried], volumes: Sequence[Volume]) -> DetectRun:
    """Note the scores in run.json, and write metrics.json and the boxes that were found in held-out cases."""
    record, scores = run.record, {name: one.numbers() for name, one in tried.items()}
    write_json(
        run.root / METRICS,
        {
            "folder": record.folder, "method": record.method, "seed": record.seed, "steps": record.steps,
            "labelled": len(record.division.labelled), "unlabelled": len(record.division.unlabelled),
            "held_out": list(record.division.held_out), "scores": scores, "settings": to_json(record.settings),
        },
    )  # fmt: skip
    if record.method in tried:
        found = tried[record.method].found
        write_boxes(run.root / FOUND, [found_in(volume, found[volume.name]) for volume in volumes])
    return write_run(run.root, replace(record, found={**record.found, "scores": scores}))


def _versions() -> dict[str, str]:
    from hyperseg.recipes.run.outputs import versions

    return versions()
