"""Pictures whose labels number objects, from Python: train, predict and score, as `hyperseg segment` does with them.

from hyperseg import instances

run = instances.train("nuclei", "nuclei-run", minutes=10)
found = instances.predict(run, "NEW", out="found").found
print(instances.score("found", "truth").numbers["pq"])
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method
from hyperseg.core.parts.on_instances import OnInstances
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import listed
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.engine.progress import counted_progress
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.instances.folder import InstanceRun, finds_objects, read_run
from hyperseg.recipes.instances.predicting import Format, Predicted, predict_instances
from hyperseg.recipes.instances.scoring import InstanceScores, numbers_objects, score_instances
from hyperseg.recipes.instances.starting import Order
from hyperseg.recipes.methods import METHODS, ON_INSTANCES
from hyperseg.recipes.run.folder import Interrupted

__all__ = [
    "InstanceRun", "InstanceScores", "Predicted", "finds_objects", "numbers_objects", "predict", "read_run", "score",
    "train",
]  # fmt: skip


def train(
    folder: str | Path, out: str | Path, *, method: str | None = None, settings: Mapping[str, Any] | None = None,
    minutes: float | None = None, steps: int | None = None, fold: int | None = None, seed: int = 0,
    device: str = "auto", alone: bool = False, resume: bool = False, overwrite: bool = False, quiet: bool = False,
) -> InstanceRun:  # fmt: skip
    """Train a network that finds objects one by one into the folder `out`, with its page, report.html.

    Args:
        folder: pictures whose labels number objects: NAME.png and NAME_inst.png, or images/ and instances/.
        out: the run's folder.
        method: of `recipes.methods.METHODS` that finds objects; the usual one, or what the run was begun with.
        settings: by name: {"training.patch": 128}; the end of a name is enough.
        minutes: of training; 10 where neither is given, or as the run was begun.
        steps: exactly so many instead.
        fold: of five, that is held out; the first by default.
        seed: of folds, weights and patches.
        device: see `choose_device`.
        alone: leave out the baseline of threshold and watershed.
        resume: go on with the run that is there.
        overwrite: remove the run that is there.
        quiet: no progress.

    Raises:
        SettingError, RunError, SplitError, LabelError, DataFileError: what cannot be done, before training.
    """
    if minutes is not None and steps is not None:
        raise SettingError("minutes and steps contradict each other: give one of them.")
    root = Path(out)
    if method is None and resume and (root / RECORD).is_file():
        method = read_run(root).record.method
    name = ON_INSTANCES if method is None else method
    on, where = on_instances(name), choose_device(device)
    order = Order(name, settings or {}, minutes, steps, fold, alone)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    try:
        run: InstanceRun = on.train(Path(folder), root, order, runtime, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as stop:
        raise Interrupted(root) from stop
    return run


def on_instances(name: str) -> OnInstances:
    """What a method does with pictures of objects.

    Raises:
        SettingError: there is no such method, or it finds no objects.
    """
    method: Method = METHODS[name]
    if method.on_instances is None:
        some = [other for other in METHODS if METHODS[other].on_instances is not None]
        raise SettingError(f"the method {name} tells classes, no objects; {listed(some)} finds objects.")
    return method.on_instances


def predict(
    run: str | Path | InstanceRun, images: str | Path, *, out: str | Path, settings: Mapping[str, Any] | None = None,
    form: Format = "png", overlays: bool = False, device: str = "auto", overwrite: bool = False, quiet: bool = False,
) -> Predicted:  # fmt: skip
    """Find the objects in every picture of a folder (or one file); see `predict_instances`."""
    return predict_instances(
        run.root if isinstance(run, InstanceRun) else Path(run), Path(images), out=Path(out), settings=settings,
        form=form, overlays=overlays, device=device, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def score(found: str | Path, truth: str | Path, *, quiet: bool = True) -> InstanceScores:
    """AP50, AP, PQ and the nuclei score of found maps against true ones; see `score_instances`."""
    with counted_progress(f"Scoring {found}", unit="pictures", quiet=quiet) as progress:
        return score_instances(Path(found), Path(truth), progress=progress)
