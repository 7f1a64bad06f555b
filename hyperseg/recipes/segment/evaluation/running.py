"""`evaluate_run`: the networks of a run, and those beside it, against labels; one image in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import LabelError, RunError
from hyperseg.core.files import make_folder
from hyperseg.core.words import listed, runs, some
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.segment.checks import warn_of_mirrors
from hyperseg.recipes.segment.evaluation.answers import answered, calls_of
from hyperseg.recipes.segment.evaluation.figures import Figures, worth
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.folder import SegmentRun, check_folds, load_networks, read_run
from hyperseg.recipes.segment.planning import pointing_to_check, read_folder
from hyperseg.recipes.segment.sliding import check_inference

log = logging.getLogger(__name__)

METRICS, PICTURE, PAGE = "metrics.json", "evaluation.png", "report.html"


@dataclass(frozen=True)
class Task:
    """Images, and which networks answer them.

    Attributes:
        folder: knows channels, classes and codes.
        parts: (folds whose networks are averaged, cases) each.
        how: in words.
        notes: what to know.
    """

    folder: CaseFolder
    parts: tuple[tuple[tuple[int, ...], tuple[Case, ...]], ...]
    how: str
    notes: tuple[str, ...] = ()

    @property
    def n_cases(self) -> int:
        return sum(len(cases) for _, cases in self.parts)


def evaluate_run(
    root: Path, data: Path | None, *, out: Path, settings: Mapping[str, Any] | None = None,
    curve: Sequence[int] = CURVE, device: str = "auto", mirror: bool | None = None, folds: Sequence[int] | None = None,
    overwrite: bool = False, quiet: bool = False,
) -> Evaluation:  # fmt: skip
    """Score the networks of a run and those trained beside it, and write metrics.json, evaluation.png and report.html.

    Args:
        root: of `hyperseg segment train`.
        data: a labelled folder, whose images are answered by the networks of all folds together (of a data set with
            test images these); None for the images of the run, each answered by the networks of its fold.
        out: folder; made where it is not there.
        settings: of methods that draw, by name, where they are to be others than in training: {"samples": 25}.
        curve: network calls of a mask for which masks are drawn anew; () draws nothing anew.
        device: see `choose_device`.
        mirror: average over mirror images too; None does what cross-validation did.
        folds: whose networks are asked; all there are by default.
        overwrite: replace files that are there.
        quiet: no progress.

    Raises:
        RunError: no run, a network that is not there, or images of the run that are gone.
        SettingError: a setting that no method of the run has, or a value it cannot have.
        DataFileError, LabelError, SceneError: images or labels that are missing, or do not fit the run.
    """
    run = read_run(root)
    every = [run, *run.beside.values()]
    methods = _methods(every, settings or {})
    check_inference(run.plan.training.inference)
    targets = [out / name for name in (METRICS, PICTURE, PAGE)]
    check_targets(targets, inputs=[root, *([] if data is None else [data])], overwrite=overwrite)
    asked = [check_folds(one, name, folds) for one in every for name in needed(one.plan, one.chosen)]
    task = _by_fold(run, asked[0], quiet=quiet) if data is None else _by_all(run, data, asked[0], quiet=quiet)
    warn_of_mirrors(run.plan, mirror)
    make_folder(out)
    where = choose_device(device)
    found: list[Figures] = []
    slices: list[Slice] = []
    for one, method in zip(every, methods, strict=True):
        seen = slices.append if one is run else None
        found.append(_figures(one, method, task, curve, str(where), mirror, seen=seen, quiet=quiet))
    doubt = "disagreement" if methods[0].on.samples is not None and len(run.chosen) == 1 else "entropy"
    unit = next(iter(found)).scored.unit
    evaluation = Evaluation(
        root, task.folder.root, task.how, run.record.classes, unit, tuple(found), tuple(slices), doubt, task.notes
    )  # fmt: skip
    write_json(targets[0], evaluation.to_json())
    picture = evaluation_figure(evaluation)
    with replacing(targets[1]) as temporary:
        temporary.write_bytes(picture)
    write_evaluation_page(targets[2], evaluation, picture)
    return evaluation


def _methods(every: Sequence[SegmentRun], settings: Mapping[str, Any]) -> list[CaseMethod]:
    """Methods with other settings of drawing; those that do not draw have none of them.

    Raises:
        SettingError: no method of the run draws, or a setting or a value that it cannot have.
    """
    found = []
    for one in every:
        method = one.method.drawing(settings) if one.method.changeable else one.method
        method.on.check(one.plan, method.settings)
        found.append(method)
    if settings and not any(method.changeable for method in found):
        names = listed(method.name for method in found)
        raise SettingError(f"{listed(settings)}: {names} draws no masks and has no such setting. Leave it out.")
    return found


def _by_fold(run: SegmentRun, folds: Sequence[int], *, quiet: bool) -> Task:
    """The run's own images, each by the fold that held it out."""
    place = Path(run.record.folder)
    if not place.exists():
        raise RunError(f"{run.root}: was trained on {place}, which is not there. Put it back, or name a labelled folder.")
    folder = read_folder(place, run.record.spacing, quiet=quiet)
    check_fit(run, folder)
    there = {case.name: case for case in folder.cases}
    wanted = {fold: run.record.folds[fold] for fold in folds}
    if gone := [name for names in wanted.values() for name in names if name not in there]:
        raise RunError(f"{run.root}: {place} does not hold {some(gone, 3)} any more. Put the cases back.")
    parts = tuple(((fold,), tuple(there[name] for name in names)) for fold, names in wanted.items())
    notes = ()
    if len(folds) < len(run.record.folds):
        notes = (f"Only fold {runs(folds)} of {len(run.record.folds)} answered: the images of the others are left out.",)
    return Task(folder, parts, "each image by the networks of the fold that never saw it", notes)


def _by_all(run: SegmentRun, data: Path, folds: Sequence[int], *, quiet: bool) -> Task:
    """The labelled images of a folder, by all folds together; of a data set with labelled test images these."""
    folder = read_folder(data, run.record.spacing, quiet=quiet)
    check_fit(run, folder)
    cases = tuple(case for case in folder.unlabelled if case.label is not None) or folder.cases
    if not cases:
        raise DataFileError(f"{data}: no image has a label; labelled images were expected. See hyperseg segment --help.")
    learnt = warn_of_learnt(run, cases)
    return Task(folder, ((tuple(folds), cases),), f"every image by the networks of fold {runs(folds)} together", learnt)


def check_fit(run: SegmentRun, folder: CaseFolder) -> None:
    """Images and labels of a folder are of the run's channels and classes.

    Raises:
        SettingError: they are not.
    """
    for what, trained, there in (
        ("channels", run.record.channels, folder.channels), ("classes", run.record.classes, folder.classes),
        ("codes", tuple(map(str, run.record.codes)), tuple(map(str, folder.codes))),
    ):  # fmt: skip
        if trained != there:
            raise SettingError(
                f"{folder.root}: has the {what} {listed(there)}, the run was trained on {listed(trained)}. Name a folder "
                "of the same kind."
            )


def _figures(
    run: SegmentRun, method: CaseMethod, task: Task, curve: Sequence[int], device: str, mirror: bool | None, *,
    seen: Callable[[Slice], None] | None, quiet: bool,
) -> Figures:  # fmt: skip
    """Of all images by one method's networks; each image is shown to `seen`."""
    mirror, names = run.record.mirrored if mirror is None else mirror, needed(run.plan, run.chosen)
    worths, calls, unit = {}, 0, "mm"
    with counted_progress(f"Evaluating {method.name}", unit="images", quiet=quiet) as progress:
        for folds, cases in task.parts:
            networks = {name: [net.to(device) for net in load_networks(run, name, folds)] for name in names}
            work = Work(run.plan, networks, method, mirror, torch.device(device), run.record.seed, Cost())
            calls = sum(calls_of(work, name) for name in run.chosen)
            for case in cases:
                scene = read_case(task.folder, case)
                truth, spacing = np.asarray(scene.labels), scene.grid.spacing if scene.grid.unit == "mm" else None
                unit = unit if spacing else "px"
                answer = answered(scene, work, run.chosen, run.record.largest, curve=curve)
                worths[case.name] = worth(answer, truth, run.record.codes, spacing)
                if seen is not None:
                    dice = mean_of([one.dice for one in worths[case.name].overlaps.values()])
                    seen(slice_of_scene(case.name, dice, scene, answer.labels, answer.doubt))
                progress(len(worths), task.n_cases)
    classes = dict(zip(run.record.codes[1:], run.record.classes[1:], strict=True))
    return Figures.of(method.name, run.root, task.folder.root, classes, unit, worths, calls, drawing_of(method))
