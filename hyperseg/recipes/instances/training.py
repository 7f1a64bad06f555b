"""From a folder whose labels number objects to a trained Mask R-CNN, tried on pictures that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.core.files import make_folder
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, duration
from hyperseg.engine.meter import metered
from hyperseg.engine.progress import counted_progress, say, working
from hyperseg.io.instances import instances_of, write_instance_boxes, write_instances
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import refuse_existing
from hyperseg.recipes.detection.learning import curves_of
from hyperseg.recipes.instances.folder import (
    FOUND,
    METRICS,
    UNFINISHED,
    InstanceRun,
    Record,
    load_network,
    read_run,
    write_network,
    write_run,
)
from hyperseg.recipes.instances.learning import learn, start_net, steps_in
from hyperseg.recipes.instances.pictures import Example, check_objects, open_instances, read_examples
from hyperseg.recipes.instances.planning import make_plan
from hyperseg.recipes.instances.reporting.run_page import write_run_page
from hyperseg.recipes.instances.starting import Order, as_begun, divided, start
from hyperseg.recipes.instances.trying import BASELINE, Tried, try_network, try_watershed
from hyperseg.recipes.segment.resuming.files import prints_of

BOXES = "boxes.json"


def train_instances(
    folder: Path, root: Path, order: Order, runtime: Runtime, *, resume: bool = False, overwrite: bool = False
) -> InstanceRun:
    """Train Mask R-CNN into a run folder, and try it and a watershed on the pictures of the fold that is held out.

    Args:
        folder: pictures with maps that number objects.
        root: the run's folder.
        order: what is trained, and how long.
        runtime: seed, device and progress.
        resume: go on with the run that is there.
        overwrite: a run that is there is removed.

    Raises:
        RunError, SettingError, SplitError, LabelError, DataFileError: what cannot be done, before training.
    """
    refuse_existing(root, read_run, resume=resume, overwrite=overwrite)
    order, settings = as_begun(root, order, resume=resume)
    cases = open_instances(folder)
    learnt, held = divided(cases, order.fold or 0, runtime.seed)
    say(f"{cases.root}: {cases.rule}", quiet=runtime.quiet)
    least = (settings.network.stem * 2 ** (len(settings.network.widths) - 1),) * 2
    with counted_progress(f"Reading {cases.root}", unit="pictures", quiet=runtime.quiet) as progress:
        every = read_examples((*learnt, *held), len(cases.channels), least, progress)
    training, held_out = every[: len(learnt)], every[len(learnt) :]
    check_objects(training)
    plan = make_plan(training, settings, channels=len(cases.channels), n_classes=1, device=runtime.device)
    record = Record(
        str(folder), order.method, runtime.seed, order.fold or 0, tuple(one.name for one in training),
        tuple(one.name for one in held_out), cases.channels, ("object",), plan, settings, order.budget,
        steps=order.steps or 0, prints=prints_of(cases, quiet=runtime.quiet), versions=_versions(),
    )  # fmt: skip
    run = start(root, record, resume=resume, overwrite=overwrite)
    say(
        f"{counted(len(training), 'picture')} to learn from, {len(held_out)} held out (fold {record.fold}, seed "
        f"{record.seed}); plan: {plan.told()}",
        quiet=runtime.quiet,
    )
    lock = take(root)
    try:
        run = _learnt(run, training, runtime)
        tried = _tried(run, training, held_out, runtime, alone=order.alone)
        run = _noted(run, tried)
        write_run_page(run, tried, held_out)
    finally:
        lock.release()
    return read_run(root)


def _learnt(run: InstanceRun, training: Sequence[Example], runtime: Runtime) -> InstanceRun:
    """The run with its weights and what the training took."""
    if run.trained:
        return run
    record, runtime = run.record, replace(runtime, checkpoints=run.root / UNFINISHED)
    if not record.steps:
        with working("Trying how fast steps are", quiet=runtime.quiet):
            steps, seconds = steps_in(
                record.budget["minutes"],
                start_net(record.plan, runtime),
                record.settings,
                record.plan,
                training,
                runtime,
            )
        told = f"{counted(steps, 'step')} of {seconds:.3g} s, {duration(steps * seconds)} of training expected"
        say(f"{record.method}: {told}", quiet=runtime.quiet)
        record = replace(record, steps=steps, found={**record.found, "expected_s": steps * seconds})
        run = write_run(run.root, record)
    net = start_net(record.plan, runtime)
    with metered(runtime.device) as usage:
        history = learn(
            net, record.settings, record.plan, training, steps=record.steps, runtime=runtime, title=record.method
        )
    costs = {"seconds": history.seconds, "peak_bytes": usage.peak_bytes, "joules": usage.joules}
    run = write_run(run.root, replace(record, found={**record.found, "history": curves_of(history), "costs": costs}))
    write_network(run, net.state_dict())
    for file in run.root.glob(f"{UNFINISHED}-*"):
        file.unlink(missing_ok=True)
    return run


def _tried(
    run: InstanceRun, training: Sequence[Example], held_out: Sequence[Example], runtime: Runtime, *, alone: bool
) -> dict[str, Tried]:
    """What the network and the baseline are worth on the held-out pictures, by name."""
    title = f"Finding in {counted(len(held_out), 'held-out picture')}"
    with counted_progress(title, unit="pictures", quiet=runtime.quiet) as progress:
        own = try_network(
            load_network(run), held_out, run.record.settings.find, device=runtime.device, progress=progress
        )
    if alone:
        return {run.record.method: own}
    with counted_progress(f"Tuning the {BASELINE}", unit="settings", quiet=runtime.quiet) as progress:
        baseline, chosen = try_watershed(training, held_out, progress=progress)
    baseline.numbers["settings"] = to_json(chosen)
    return {run.record.method: own, BASELINE: baseline}


def _noted(run: InstanceRun, tried: dict[str, Tried]) -> InstanceRun:
    """Note the scores in run.json, and write metrics.json, and the objects of held-out pictures."""
    record, scores = run.record, {name: one.numbers for name, one in tried.items()}
    write_json(
        run.root / METRICS,
        {
            "folder": record.folder, "method": record.method, "seed": record.seed, "fold": record.fold,
            "steps": record.steps, "learnt": len(record.learnt), "held_out": list(record.held_out), "scores": scores,
            "settings": to_json(record.settings),
        },
    )  # fmt: skip
    own = tried[record.method]
    make_folder(run.root / FOUND)
    for name, found in own.maps.items():
        write_instances(run.root / FOUND / f"{name}.png", found)
        write_instance_boxes(
            run.root / FOUND / f"{name}.{BOXES}", instances_of(found, list(own.scores[name]), record.classes[0])
        )
    return write_run(run.root, replace(record, found={**record.found, "scores": scores}))


def _versions() -> dict[str, str]:
    from hyperseg.recipes.run.outputs import versions

    return versions()
