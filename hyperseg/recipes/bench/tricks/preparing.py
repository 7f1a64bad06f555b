"""From what a user names to what cells are made of; everything that can be refused is refused here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, Scene
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted, thousands
from hyperseg.engine.progress import counted_progress
from hyperseg.io.write.runs import seal
from hyperseg.medical.plan import Plan
from hyperseg.recipes.bench.cases import divided, preparation_of, stored_cases
from hyperseg.recipes.bench.comparing.begun import CACHE, Begun
from hyperseg.recipes.bench.scenes import data_of, opened
from hyperseg.recipes.bench.tricks.folder import NETWORKS
from hyperseg.recipes.bench.tricks.on_cases import CaseSource
from hyperseg.recipes.bench.tricks.on_scene import SceneSource
from hyperseg.recipes.bench.tricks.rows import ALL, PLAIN, Row, chosen_rows
from hyperseg.recipes.bench.tricks.settings import TricksSettings, changes_of
from hyperseg.recipes.bench.tricks.showing.table import OF_CASES, OF_SCENE, Measure
from hyperseg.recipes.bench.tricks.small import small_plan
from hyperseg.recipes.methods import METHODS, WITHOUT_TRICKS
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.segment.checks import check_labels, check_plan
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.held_out.networks import mirrored
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import read_plan
from hyperseg.recipes.segment.resuming.files import prints_of
from hyperseg.recipes.segment.starting import recommended
from hyperseg.recipes.tricks import TRICKS


@dataclass(frozen=True)
class Prepared:
    """What cells are made of.

    Attributes:
        source: of the cells.
        rows: single tricks.
        left_out: tricks that do not fit, and why.
        data: what bench.json is told of the data.
        plan: of a folder, or None.
        configuration: its network, or "".
        measure: what rows are compared by.
        folds: of cells.
        held_out: cases of all folds together.
        lead: sentences about what is compared.
    """

    source: CaseSource | SceneSource
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    data: dict[str, Any]
    plan: Plan | None
    configuration: str
    measure: Measure
    folds: int
    held_out: int
    lead: str

    @property
    def on_scene(self) -> bool:
        return isinstance(self.source, SceneSource)


def prepare_folder(
    target: Path, settings: TricksSettings, asked: Sequence[str], root: Path, *, begun: Begun | None,
    plan_file: Path | None, seeds: int, minutes: float, jobs: int, device: str, quiet: bool,
) -> Prepared:  # fmt: skip
    """A folder of images or volumes; nothing is written.

    Args:
        target: the folder.
        settings, asked: of the benchmark.
        root: the benchmark's folder.
        begun: what goes on there, with its own plan.
        plan_file: a plan of the folder, or None: one is made that fits the minutes.
        seeds, minutes, jobs: what the size of the network follows from.
        device: where networks are.
        quiet: no progress.

    Raises:
        SettingError, SplitError, LabelError, SceneError, DataFileError, RunError: what cannot be done.
    """
    method = case_method(settings.method or WITHOUT_TRICKS, changes_of(settings.sets))
    folder, parts = divided(
        target, settings.spacing, settings.target, cases=settings.cases, n_folds=settings.folds, seed=settings.seed,
        quiet=quiet,
    )  # fmt: skip
    n_rows = len(asked) + (len(TRICKS) if ALL in asked else 0) + 2
    per_network = minutes * jobs / (settings.folds * seeds * n_rows)
    with counted_progress(f"Looking at {target}", unit="cases", quiet=quiet) as progress:
        plan = _plan(root, begun, plan_file, lambda: small_plan(
            folder, 60 * per_network, device=device, method=method, progress=progress,
        ))  # fmt: skip
    check_plan(plan, folder)
    name = begun.found["configuration"] if begun else recommended(plan, Budget(per_network))[0]
    check_labels(folder, parts, range(len(parts)), plan.facts.classes)
    mirror = mirrored(method.planned(plan), Runtime(device=device))
    source = CaseSource(
        folder, plan, name, method.name, method.settings, parts, {}, root / NETWORKS, device, settings.seed, mirror
    )  # fmt: skip
    source.check(PLAIN)
    rows, left_out = chosen_rows(asked, lambda tricks: source.check(Row("", tricks)))
    data = {"name": target.resolve().name, "cases": prints_of(folder, quiet=quiet)}
    lead = (
        f"{counted(len(folder.cases), 'case')} in {settings.folds} folds; the baseline is {method.name}, network "
        f"{name}. Dice: mean over the foreground classes and the held-out cases of a fold."
    )
    return Prepared(source, rows, left_out, data, plan, name, OF_CASES, len(parts), len(folder.cases), lead)


def _plan(root: Path, begun: Begun | None, file: Path | None, make: Callable[[], Plan]) -> Plan:
    given = None if file is None else read_plan(file)
    if begun is None or begun.plan is None:
        return make() if given is None else given
    if given is not None and seal(given) != seal(begun.plan):
        raise RunError(f"{root}: was begun with another plan. Leave --plan out, or take another --out.")
    return begun.plan


def with_stored(made: Prepared, rows: Sequence[Row], root: Path, *, quiet: bool) -> Prepared:
    """The same with cases of a folder prepared for these rows too, each way of preparing done once.

    Raises:
        LabelError: a class that is in no case that a fold learns from.
    """
    source = made.source
    if isinstance(source, SceneSource):
        return made
    stored = dict(source.stored)
    for row in (PLAIN, *rows):
        _, plan = source.of(row)
        key = preparation_of(plan, source.configuration)
        if key in stored:
            continue
        stored[key] = stored_cases(
            source.folder, plan, source.configuration, root / CACHE / key, made.data["cases"], source.folds, quiet=quiet
        )
    return replace(made, source=replace(source, stored=stored))


def prepare_scene(
    target: str | Scene, settings: TricksSettings, asked: Sequence[str], *, labels: str | None, folder: Path | None,
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
    plain: dict[str, Any] = {"split": settings.split} if settings.split else {}
    run = RunSettings(
        method=settings.method or METHODS.default, refine=settings.refine, baselines=(), repeats=splits,
        seed=settings.seed, **plain,
    ).with_(changes_of(settings.sets))  # fmt: skip
    scene = opened(target, run, labels=labels, folder=folder)
    source = SceneSource(scene, run, device)
    tasks = [source.task(fold) for fold in range(splits)]
    source.check(PLAIN, tasks[0])
    rows, left_out = chosen_rows(asked, lambda tricks: source.check(Row("", tricks), tasks[0]))
    lead = (
        f"{counted(splits, 'split')} ({tasks[0].split.how}), about {thousands(int(tasks[0].split.train.sum()))} pixels "
        f"learnt from and {thousands(int(tasks[0].split.test.sum()))} tested on; the baseline is {run.method}"
        f"{''.join(f' + {name}' for name in run.refine or ())}. OA of the final map on test pixels, in percent."
    )
    return Prepared(source, rows, left_out, data_of(scene), None, "", OF_SCENE, splits, 0, lead)
