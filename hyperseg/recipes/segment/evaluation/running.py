"""`evaluate_run`: the networks of a run, and those beside it, against labels; one image in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.words import listed
from hyperseg.engine.device import choose_device
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import read_case
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.segment.checks import warn_of_mirrors
from hyperseg.recipes.segment.evaluation.answers import answered, calls_of, drawing_of, masks_of
from hyperseg.recipes.segment.evaluation.figures import Figures, worth
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.evaluation.images import Images, of_folder, of_run
from hyperseg.recipes.segment.folder import SegmentRun, check_folds, load_networks, read_run, remedy
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.prediction.answer import draws
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.prediction.fitting import needed
from hyperseg.recipes.segment.prediction.one_case import Work
from hyperseg.recipes.segment.reporting.evaluation_page import evaluation_figure, write_evaluation_page
from hyperseg.recipes.segment.reporting.examples import mean_of
from hyperseg.recipes.segment.sliding import check_inference
from hyperseg.recipes.tricks.words import added_words
from hyperseg.report.segment.slices import Slice, slice_of_scene

METRICS, PICTURE, PAGE = "metrics.json", "evaluation.png", "report.html"
CURVE = (1, 2, 5)  # network calls of a mask


def evaluate_run(
    root: Path, data: Path | None, *, out: Path, settings: Mapping[str, Any] | None = None,
    tricks: Sequence[str] = (), curve: Sequence[int] = CURVE, device: str = "auto", mirror: bool | None = None,
    folds: Sequence[int] | None = None, overwrite: bool = False, quiet: bool = False,
) -> Evaluation:  # fmt: skip
    """Score the networks of a run and those trained beside it, and write metrics.json, evaluation.png and report.html.

    Args:
        root: of `hyperseg segment train`.
        data: a labelled folder, whose images are answered by the networks of all folds together (of a data set with
            test images these); None for the images of the run, each answered by the networks of its fold.
        out: folder; made where it is not there.
        settings: of methods that draw, by name, where they are to be others than in training: {"samples": 25}.
        tricks: more than the run has, for it and those beside it, that change predictions alone, as they are spelled.
        curve: network calls of a mask for which masks are drawn anew; () draws nothing anew.
        device: see `choose_device`.
        mirror: average over mirror images too; None does what cross-validation did.
        folds: whose networks are asked; all there are by default.
        overwrite: replace files that are there.
        quiet: no progress.

    Raises:
        RunError: no run, a network that is not there, or images of the run that are gone.
        SettingError: a setting that no method of the run has, a value it cannot have, or a trick it cannot be given.
        DataFileError, LabelError, SceneError: images or labels that are missing, or do not fit the run.
    """
    run = read_run(root)
    there = folds_of(run, folds)
    every, missing = _with_beside(run, there)
    methods = _methods(every, settings or {}, curve, tricks)
    check_inference(run.plan.training.inference)
    targets = [out / name for name in (METRICS, PICTURE, PAGE)]
    read = Path(run.record.folder) if data is None else data
    check_targets(targets, inputs=[root, read], overwrite=overwrite)
    check_apart(out, [root, read])
    if data is None:
        images = of_run(run, there, asked=folds is not None, quiet=quiet)
    else:
        images = of_folder(run, data, there, quiet=quiet)
    warn_of_mirrors(run.plan, mirror)
    make_folder(out)
    where = choose_device(device)
    found: list[Figures] = []
    slices: list[Slice] = []
    for one, method in zip(every, methods, strict=True):
        seen = slices.append if one is run else None
        found.append(_figures(one, method, images, curve, str(where), mirror, seen=seen, quiet=quiet))
    doubt, unit = list(found[0].auroc)[-1], found[0].scored.unit
    told = filter(None, [added_words(run.record.tricks, methods[0].tricks)])
    notes = (*told, *images.notes, *missing, *about_pairs(run))
    evaluation = Evaluation(
        root, images.folder.root, images.how, run.record.classes, unit, tuple(found), tuple(slices), doubt, notes,
        methods[0].tricks,
    )  # fmt: skip
    write_json(targets[0], evaluation.to_json())
    picture = evaluation_figure(evaluation)
    with replacing(targets[1]) as temporary:
        temporary.write_bytes(picture)
    write_evaluation_page(targets[2], evaluation, picture)
    return evaluation


def check_apart(out: Path, folders: Iterable[Path]) -> None:
    """Refuse (SettingError) a folder for results among images, where they would be taken for some, or in a run."""
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise SettingError(f"--out {out} lies in {folder}, which is read: give a folder outside of it.")


def _with_beside(run: SegmentRun, folds: Sequence[int]) -> tuple[list[SegmentRun], tuple[str, ...]]:
    """The run and those beside it that have networks of the same folds, and a sentence for each that has not."""
    every, missing = [run], []
    for name, one in run.beside.items():
        try:
            for of in needed(one.plan, one.chosen):
                load_networks(one, of, folds_of(one, folds))
            every.append(one)
        except RunError as error:
            missing.append(f"{name} is left out: {error} {remedy(one.root)}")
    return every, tuple(missing)


def _methods(
    every: Sequence[SegmentRun], settings: Mapping[str, Any], curve: Sequence[int], tricks: Sequence[str]
) -> list[CaseMethod]:  # fmt: skip
    """Methods with other settings of drawing, those that do not draw have none of them; and with more tricks.

    Raises:
        SettingError: no method of the run draws, or a setting or a value that it cannot have, or a trick.
    """
    found = []
    for one in every:
        method = one.method.drawing(settings if one.method.changeable else {}, tricks)
        for asked in (method, *(method.drawing({"calls": n}) for n in curve if method.changeable)):
            asked.on.check(one.plan, asked.settings)
        found.append(method)
    if settings and not any(method.changeable for method in found):
        names = listed(method.name for method in found)
        raise SettingError(f"{listed(settings)}: {names} draws no masks and has no such setting. Leave it out.")
    return found


def about_pairs(run: SegmentRun) -> tuple[str, ...]:
    """What is not told where several configurations predict together, though their method draws."""
    if run.method.on.samples is None or len(run.chosen) == 1:
        return ()
    return (
        f"{listed(run.chosen)} predict together: the mean of their probabilities is one answer, so there is nothing to "
        "tell of samples, of calls, or of how far they disagree. Train one of them alone for that.",
    )


def folds_of(run: SegmentRun, folds: Sequence[int] | None) -> tuple[int, ...]:
    """Folds of which all networks are there that a prediction needs: those asked for, or all.

    Raises:
        RunError: one of them is not there.
    """
    first, *more = needed(run.plan, run.chosen)[::-1]
    found = check_folds(run, first, folds)
    for name in more:
        check_folds(run, name, found)
    return found


def _figures(
    run: SegmentRun, method: CaseMethod, images: Images, curve: Sequence[int], device: str, mirror: bool | None, *,
    seen: Callable[[Slice], None] | None, quiet: bool,
) -> Figures:  # fmt: skip
    """Of all images by one method's networks; each image is shown to `seen`."""
    mirror, names = run.record.mirrored if mirror is None else mirror, needed(run.plan, run.chosen)
    worths, calls, unit = {}, 0, "mm"
    drawn = draws(method, run.chosen)
    total, done = images.n * masks_of(method, curve, drawn=drawn), count(1)
    what = "masks" if drawn else "images"
    with counted_progress(f"Evaluating {method.name}", unit=what, quiet=quiet) as progress:
        for folds, cases in images.parts:
            networks = {name: [net.to(device) for net in load_networks(run, name, folds)] for name in names}
            work = Work(run.plan, networks, method, mirror, torch.device(device), run.record.seed, Cost())
            calls = sum(calls_of(work, name) for name in run.chosen)
            for case in cases:
                scene = read_case(images.folder, case)
                truth, spacing = np.asarray(scene.labels), scene.grid.spacing if scene.grid.unit == "mm" else None
                unit = unit if spacing else "px"
                answer = answered(
                    scene, work, run.chosen, run.record.largest, curve=curve, tell=lambda: progress(next(done), total)
                )
                worths[case.name] = worth(answer, truth, run.record.codes, spacing)
                if seen is not None:
                    dice = mean_of([one.dice for one in worths[case.name].overlaps.values()])
                    seen(slice_of_scene(case.name, dice, scene, answer.labels, answer.doubt))
    classes = dict(zip(run.record.codes[1:], run.record.classes[1:], strict=True))
    return Figures(method.name, run.root, images.folder.root, classes, unit, worths, calls, drawing_of(method))
