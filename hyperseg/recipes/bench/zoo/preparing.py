"""From what a user names to what cells are made of; everything that can be refused is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import LabelError, RunError, Scene
from hyperseg.core.words import counted, listed, thousands
from hyperseg.engine.progress import counted_progress
from hyperseg.medical.cost.counts import training_memory
from hyperseg.medical.plan import Plan
from hyperseg.recipes.bench.cases import divided, preparation_of, stored_cases
from hyperseg.recipes.bench.comparing.begun import CACHE, Begun
from hyperseg.recipes.bench.scenes import data_of, opened, task_of
from hyperseg.recipes.bench.zoo.choosing import chosen_rows, reference
from hyperseg.recipes.bench.zoo.making.on_cases import CaseSource
from hyperseg.recipes.bench.zoo.making.on_scene import SceneSource
from hyperseg.recipes.bench.zoo.rows import Row
from hyperseg.recipes.bench.zoo.settings import USUAL_STEPS, ZooBenchSettings
from hyperseg.recipes.bench.zoo.showing.table import OF_CASES, OF_SCENE, Measure
from hyperseg.recipes.bench.zoo.small import reduced_plan
from hyperseg.recipes.methods.network import memory_bytes
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.segment.checks import check_labels, check_plan
from hyperseg.recipes.segment.resuming.files import prints_of


@dataclass(frozen=True)
class Prepared:
    """What cells are made of.

    Attributes:
        source: of the cells.
        rows: baselines, then networks and peers.
        left_out: networks that do not fit, and why.
        data: what bench.json is told of the data.
        plan: of a folder, or None.
        measure: what rows are compared by.
        reference: key of the row that the others are compared with.
        folds: of cells.
        most_steps: of a training.
        lead: sentences about what is compared.
    """

    source: CaseSource | SceneSource
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    data: dict[str, Any]
    plan: Plan | None
    measure: Measure
    reference: str
    folds: int
    most_steps: int
    lead: str

    @property
    def on_scene(self) -> bool:
        return isinstance(self.source, SceneSource)


def prepare_folder(
    target: Path, settings: ZooBenchSettings, asked: Sequence[str], root: Path, *, begun: Begun | None, jobs: int,
    device: str, quiet: bool,
) -> Prepared:  # fmt: skip
    """A folder of images or volumes; nothing is written.

    Args:
        target: the folder.
        settings, asked: of the benchmark.
        root: the benchmark's folder.
        begun: what goes on there, with its own plan.
        jobs: trainings side by side.
        device: where networks are.
        quiet: no progress.

    Raises:
        SettingError, SplitError, LabelError, SceneError, DataFileError, RunError: what cannot be done.
    """
    folder, parts = divided(
        target, settings.spacing, settings.target, cases=settings.cases, n_folds=settings.folds, seed=settings.seed,
        quiet=quiet,
    )  # fmt: skip
    if begun is not None and begun.plan is not None:
        plan = begun.plan
    else:
        with counted_progress(f"Looking at {target}", unit="cases", quiet=quiet) as progress:
            plan = reduced_plan(
                folder, side=settings.side, width=settings.width, batch=settings.batch, progress=progress
            )
    check_plan(plan, folder)
    if len(plan.facts.classes) < 2:
        raise LabelError(f"{target}: has no class but the background, so that there is nothing to compare.")
    one = plan.main
    check_labels(folder, parts, range(len(parts)), plan.facts.classes)
    check_room(jobs * training_memory(one), device)
    source = CaseSource(folder, plan, one.name, parts, {}, device, settings.seed)
    rows, left_out = chosen_rows(asked, source.check, on_scene=False)
    data = {"name": target.resolve().name, "cases": prints_of(folder, quiet=quiet)}
    lead = (
        f"{counted(len(folder.cases), 'case')} in {settings.folds} folds. All networks have the plan's images of "
        f"{' x '.join(map(str, one.patch))} pixels, {one.batch} in a step, and its stages of "
        f"{listed(map(str, one.backbone.widths))} channels. Dice: mean over the foreground classes and the held-out "
        "cases of a fold, on each image's own grid."
    )
    return Prepared(
        source, rows, left_out, data, plan, OF_CASES, reference(on_scene=False), len(parts), USUAL_STEPS, lead
    )


def with_stored(made: Prepared, root: Path, *, quiet: bool) -> Prepared:
    """The same with cases of a folder prepared, which all rows share.

    Raises:
        LabelError: a class that is in no case that a fold learns from.
    """
    source = made.source
    if isinstance(source, SceneSource):
        return made
    place = root / CACHE / preparation_of(source.plan, source.configuration)
    stored = stored_cases(
        source.folder, source.plan, source.configuration, place, made.data["cases"], source.folds, quiet=quiet
    )
    return replace(made, source=replace(source, stored=stored))


def prepare_scene(
    target: str | Scene, settings: ZooBenchSettings, asked: Sequence[str], *, labels: str | None, folder: Path | None,
    splits: int, device: str,
) -> Prepared:  # fmt: skip
    """A scene with labels; nothing is written.

    Args:
        target: a data set's name, a file, or a scene.
        settings, asked: of the benchmark.
        labels: file of the labels, where the scene has none of its own.
        folder: where a data set's own files are.
        splits: how many.
        device: where networks are.

    Raises:
        HypersegError: what cannot be done.
    """
    from hyperseg.recipes.methods.unet import UnetSettings, plan_of

    split: dict[str, Any] = {"split": settings.split} if settings.split else {}
    run = RunSettings(refine=(), baselines=(), repeats=splits, seed=settings.seed, **split)
    scene = opened(target, run, labels=labels, folder=folder)
    tasks = [task_of(scene, run, fold) for fold in range(splits)]  # a split that cannot be drawn is told now
    task = tasks[0]
    planned, _, _ = plan_of(task, UnetSettings())
    source = SceneSource(scene, run, planned.tile, device)
    rows, left_out = chosen_rows(asked, lambda row: source.check(row, task), on_scene=True)
    for row in rows:
        if row.kind == "baseline":
            source.check(row, task)
    window = " x ".join(map(str, planned.tile))
    lead = (
        f"{counted(splits, 'split')} ({task.split.how}), about {thousands(int(task.split.train.sum()))} pixels learnt "
        f"from and {thousands(int(task.split.test.sum()))} tested on. All networks have windows of {window} pixels and "
        f"the stages that are planned for the U-Net of this scene, without refiners; baselines have their own way. OA "
        "on test pixels, in percent."
    )
    return Prepared(
        source, rows, left_out, data_of(scene), None, OF_SCENE, reference(on_scene=True), splits, planned.steps, lead
    )


def check_room(needed: int, device: str, *, there: int | None = None) -> None:
    """Refuse what does not fit into this machine's memory, before anything is prepared.

    Args:
        needed: bytes, estimated for the network that the plan is about.
        device: only of the CPU is looked at.
        there: bytes; None is what the machine has.

    Raises:
        RunError: more is needed than there is.
    """
    there = memory_bytes() if there is None else there
    if device.startswith("cpu") and there is not None and needed > there:
        raise RunError(
            f"these trainings need about {needed / 1e9:.1f} GB, this machine has {there / 1e9:.1f} GB: give a smaller "
            "--side, --width or --batch, or fewer --jobs."
        )
