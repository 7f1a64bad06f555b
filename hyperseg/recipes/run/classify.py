"""`classify`: from a scene and its labels to a map, its accuracy, and the accuracy of what it has to beat."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError, SettingError, Split, SplitError
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.core.words import listed
from hyperseg.data.identity import identity_of
from hyperseg.data.splits import make_split
from hyperseg.engine import choose_device, choose_precision, from_first, join_processes, rank
from hyperseg.engine.progress import say, working
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.run.folder import RunFolder, going_on, open_run
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.plan import plan, time_left
from hyperseg.recipes.run.repeat import RepeatResult, load_repeat, save_repeat
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import Outcome, fitted_parts, run_repeat
from hyperseg.recipes.scoring.groups import fallback_of

TELL_S = 5.0  # a first repeat that took longer says how long the others may take


@one_blas_thread()
def classify(
    scene: Scene,
    settings: RunSettings | None = None,
    *,
    out: Path | str | None = None,
    masks: Masks | None = None,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
    pictures: bool = True,
    inputs: Mapping[str, Any] | None = None,
    on_repeat: Callable[[int, Outcome], None] | None = None,
    on_step: Callable[[str, int], None] | None = None,
) -> tuple[RunFolder, dict[str, Any]]:
    """Split, train, map, refine and score; write the run folder.

    Under torchrun all processes do the same and share every batch of the training; process 0 alone writes and talks.
    With equal shares gradients are those of the whole batch, but batch norm and dropout see only a share: the map
    is as good as that of one process, not the same.

    Args:
        scene: with labels; two classes or more.
        settings: what to run.
        out: run folder; default runs/SCENE-METHOD.
        masks: for the `fixed` split, and the pool of methods that learn from pixels without labels.
        device: "auto", "cpu", "cuda", ...
        resume: continue an interrupted run.
        quiet: no plan and no progress on standard error.
        pictures: False leaves out all pictures, map.png among them.
        inputs: what the scene, labels and masks were opened from, kept in run.json.
        on_repeat: called with the number of every repeat and what was made, once it is kept.
        on_step: called after every step of every training, see `hyperseg.core.runtime.Runtime`.

    Returns:
        The folder and the content of metrics.json.

    Raises:
        HypersegError: before any training, for whatever the input lacks.
    """
    from hyperseg.recipes.run.outputs import finish_run

    settings, masks = settings or RunSettings(), masks or Masks()
    began = time.monotonic()
    check_scene(scene)
    fallback_of(scene, settings.sure)
    where = choose_device(device)
    pools = None if masks.pool is None else (pool_mask(scene, masks.pool),)
    splits = [draw_split(scene, settings, masks, repeat=repeat) for repeat in range(settings.repeats)]
    tasks = [Task((scene,), (split,), pools) for split in splits]
    check_parts(tasks[0], settings)
    join_processes(where)
    say(plan(tasks, settings, str(where)), quiet=quiet)
    started = identity(tasks, settings)
    folder = from_first(
        lambda: open_run(
            None if out is None else Path(out),
            default=f"{scene.name}-{settings.method}",
            resume=resume,
            started=started,
        )
    )
    with going_on(folder) if rank() == 0 else nullcontext():
        results: list[RepeatResult] = []
        for repeat, task in enumerate(tasks):
            # all processes do the same, or they would wait for each other for ever
            if not (resume and from_first(partial(_taken_up, results, folder, repeat))):
                runtime = Runtime(
                    settings.seed + repeat, str(where), choose_precision(where), folder.unfinished / f"train{repeat}",
                    f"repeat {repeat + 1}/{settings.repeats}", quiet, on_step,
                )  # fmt: skip
                started_at = time.monotonic()
                made = run_repeat(task, settings, runtime)
                took = time.monotonic() - started_at
                with working(runtime.label("scoring"), quiet=quiet):
                    sections = made.sections(task, runtime) if repeat == 0 else []
                    if not pictures:
                        sections = [replace(section, figures=()) for section in sections]
                    results.append(RepeatResult.of(made, scene, task.split, sections))
                if repeat == 0 and settings.repeats > 1 and took > TELL_S:
                    say(time_left(took, settings.repeats), quiet=quiet)
                from_first(partial(save_repeat, folder, repeat, results[-1]))
                if on_repeat is not None:
                    on_repeat(repeat, made)
            if len(results) > 1:  # of the further ones only the scores are needed
                results[-1] = replace(results[-1], tensors={})
        with working("writing map, pictures and report" if pictures else "writing map and report", quiet=quiet):
            metrics = from_first(
                lambda: finish_run(
                    folder, tasks[0], settings, results, inputs=inputs or {}, device=str(where), began=began,
                    pictures=pictures,
                )
            )  # fmt: skip
    return folder, metrics


def _taken_up(results: list[RepeatResult], folder: RunFolder, repeat: int) -> bool:
    """Whether an interrupted run has done this repeat; its result is appended then."""
    done = load_repeat(folder, repeat)
    results += [] if done is None else [done]
    return done is not None


def check_scene(scene: Scene) -> None:
    """Raise unless the scene can be classified."""
    if len(scene.shape) != 2:
        raise SceneError(f"{scene.name}: classify maps (rows, columns, bands) cubes, this one is {scene.cube.shape}.")
    counts = scene.class_counts()
    if np.count_nonzero(counts) < 2:
        named = ", ".join(scene.classes[k] for k in np.flatnonzero(counts)) or "none"
        raise LabelError(
            f"{scene.name}: {np.count_nonzero(counts)} class is labelled ({named}), at least 2 are needed to tell "
            "anything apart. Label pixels of another class."
        )


def draw_split(scene: Scene, settings: RunSettings, masks: Masks, *, repeat: int) -> Split:
    """The split of one repeat; one without test pixels is refused, as nothing could be said about its map."""
    assert scene.labels is not None
    split = make_split(
        settings.split, scene.labels, scene.n_classes, seed=settings.seed + repeat, valid=scene.valid,
        train_mask=masks.train, test_mask=masks.test, parcels=scene.parcels,
    )  # fmt: skip
    if not split.test.any():
        raise SplitError(
            f"{scene.name}: the split {split.how} with seed {split.seed} leaves no test pixel ({split.note}). "
            "Label more, train on less, or choose a smaller guard or a random split."
        )
    return split


def check_parts(task: Task, settings: RunSettings) -> None:
    """Raise for whatever would stop a part later, after minutes of training."""
    method = settings.chosen
    if "scene" not in method.takes:
        what = listed(sorted(method.takes)) or "folders of images or volumes (hyperseg segment)"
        raise SettingError(f"the method {method.name} takes {what}, no scenes.")
    for _, part, chosen in reversed(fitted_parts(settings)):  # what is too large is told before it is read
        part.check(task, chosen)
    for name, refiners in settings.beside:
        for place, (refiner, chosen) in enumerate(map(settings.refiner, refiners)):
            refiner.check(task, chosen, METHODS[name], METHODS[name].settings(), place)
    for place, (refiner, chosen) in enumerate(settings.chain):
        refiner.check(task, chosen, method, settings.method_settings, place)


def pool_mask(scene: Scene, pool: NDArray[Any]) -> NDArray[np.bool_]:
    """The valid pixels of the mask: those that may be looked at without a label.

    Raises:
        LabelError: the mask has another shape than the scene, or holds less than two valid pixels.
    """
    if pool.shape != scene.shape:
        raise LabelError(
            f"{scene.name}: the pool mask has shape {pool.shape}, the scene {scene.shape}: crop or resample it."
        )
    found = (pool != 0) if scene.valid is None else (pool != 0) & scene.valid
    if np.count_nonzero(found) < 2:
        raise LabelError(
            f"{scene.name}: the pool mask holds {'one' if found.any() else 'no'} valid pixel: mark the pixels to "
            "learn from, 2 or more, with 1, or leave --pool out to use the whole scene."
        )
    return found


def identity(tasks: Sequence[Task], settings: RunSettings) -> dict[str, Any]:
    """What a run to be resumed must have been started with, as JSON."""
    scene, pools = tasks[0].scene, tasks[0].pools
    assert scene.labels is not None
    parts = b"".join(np.packbits(m).tobytes() for t in tasks for m in (t.split.train, t.split.val, t.split.test))
    return {
        "settings": settings.to_json(),
        "scene": identity_of(scene),
        "labels": {
            "classes": list(scene.classes),
            "codes": scene.codes,
            "groups": None if scene.groups is None else scene.groups.table(scene.classes),
            "checksum": zlib.crc32(scene.labels.tobytes()),
        },
        "split": {"checksum": zlib.crc32(parts)},
        "pool": None if pools is None else {"checksum": zlib.crc32(np.packbits(pools[0]).tobytes())},
    }
