"""Folders of images and volumes from Python: a function for each command of `hyperseg segment`.

    from hyperseg import segment

    run = segment.train("DIR", "DIR-run", minutes=20)
    files = segment.predict(run, "NEW", out="predicted")
    print(segment.score("predicted", "truth").mean("dice"))

Where a folder is asked for, its name will do, or what `open_cases` made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import CaseFolder, Survey, list_cases, open_cases, read_case, survey
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import refuse_existing
from hyperseg.io.write.targets import check_targets
from hyperseg.medical.explain import explain, table
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.training import Preset
from hyperseg.recipes.pretraining.start import pretrain
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.evaluation.running import CURVE, evaluate_run
from hyperseg.recipes.segment.few_labels.weights import plan_of_weights, with_weights
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import SegmentRun, read_run
from hyperseg.recipes.segment.planning import plan_cases, pointing_to_check, read_folder, read_plan, take_fingerprint
from hyperseg.recipes.segment.predicting import predict_images
from hyperseg.recipes.segment.reporting.run_page import write_run_page
from hyperseg.recipes.segment.scoring import Scored, score_cases
from hyperseg.recipes.segment.starting import begun, begun_method, budget_of, plan_of
from hyperseg.recipes.segment.training import Order, train_cases

Folder = str | Path | CaseFolder
MINUTES = 30.0  # of each network, where nobody says
ALL = "all"  # networks of a plan

__all__ = [
    "CaseFolder", "Evaluation", "Plan", "Scored", "SegmentRun", "Survey", "check", "evaluate", "explain", "make_plan",
    "open_cases", "plan", "predict", "pretrain", "read_case", "read_plan", "read_run", "score", "table",
    "take_fingerprint", "train", "write_plan",
]  # fmt: skip


def check(folder: str | Path, *, target: str | Sequence[str] = ()) -> Survey:
    """Look at every file of a folder: `faults` are what is wrong, `errors` those of them that stop training.

    Raises:
        DataFileError: no folder, or one that is not laid out in any known way.
        SettingError: a target that is no class.
    """
    return survey(list_cases(folder, target=target))


def plan(
    folder: Folder, *, minutes: float | None = None, pace: float | None = None, device: str = "auto",
    preset: Preset = "v2", gigabytes: float | None = None, patience: float | None = None,
    target: str | Sequence[str] = (),
) -> Plan:  # fmt: skip
    """Look at every labelled case of a folder once and plan networks for it; `explain` and `table` put it into words.

    Args:
        folder: to learn from.
        minutes: the plan that `train` makes for a training of so many minutes on `device`; left out, one that is fitted
            to what follows.
        pace: feature values a second that a CPU gets through; with `minutes`. Measured in some seconds if left out.
        device: see `choose_device`; with `minutes`.
        preset, gigabytes, patience: see `make_plan`; the pace that patience needs is measured.
        target: what to learn, see `train`.

    Raises:
        SettingError: minutes and another limit, a pace without them, or a limit that the preset does not know.
        SceneError, LabelError, DataFileError: a case that cannot be used, by name.
    """
    cases = _opened(folder, target=target)
    if minutes is None:
        if pace is not None:
            raise SettingError("pace goes with minutes: give both, or make_plan both pace and patience.")
        return plan_cases(cases, preset=preset, gigabytes=gigabytes, patience=patience)
    if preset != "v2" or gigabytes is not None or patience is not None:
        raise SettingError("minutes are of preset v2 and go without gigabytes and patience: leave these out.")
    return plan_of(cases, Path(), Budget(minutes), device=str(choose_device(device)), pace=pace)


def write_plan(plan: Plan, file: str | Path, *, overwrite: bool = False) -> None:
    """Write a plan as JSON, to be read, changed by hand, and read again by `read_plan`.

    Raises:
        DataFileError: the file exists or cannot be written.
    """
    check_targets([Path(file)], inputs=[], overwrite=overwrite)
    write_json(file, to_json(plan))


def train(
    folder: Folder, out: str | Path, *, minutes: float | None = None, steps: int | None = None,
    plan: Plan | str | Path | None = None, networks: Sequence[str] = (), fold: int | None = None,
    mirror: bool | None = None, spacing: tuple[float, ...] = (), watts: float | None = None, seed: int = 0,
    device: str = "auto", target: str | Sequence[str] = (), method: str | None = None,
    settings: Mapping[str, Any] | None = None, tricks: Sequence[str] = (), weights: str | Path | None = None,
    labelled: int | None = None, alone: bool = False, resume: bool = False, overwrite: bool = False,
    quiet: bool = False,
) -> SegmentRun:  # fmt: skip
    """Train the planned networks by cross-validation into the folder `out`, and write its page, report.html.

    Args:
        folder: to learn from.
        out: the run's folder.
        minutes: of training of each network; 30 where neither is given, or as the run was begun.
        steps: exactly so many instead.
        plan: of this folder, or its file; left out, one is made that fits the device and the minutes.
        networks: names of configurations, or "all"; left out, see `starting.recommended`.
        fold: the only one to train, counted from 0; left out, all of them.
        mirror: cross-validation and prediction average over mirror images; left out, on a GPU.
        spacing: millimetres per voxel, where files do not say it.
        watts: of the machine at work, for the estimate of energy; left out, counted or assumed.
        seed: of folds, weights and batches.
        device: see `choose_device`.
        target: what to learn: "cup" (a class by name or code), "rim+cup" (as one), "all" but the background as one,
            or a list of them; all else is background. Left out, every class, or as the run was begun.
        method: what is trained, a name of `recipes.methods.METHODS` that takes folders; left out, the planned U-Net, or
            what the run was begun with.
        settings: of the method, by name: {"draw.samples": 25}; the end of a name is enough.
        tricks: of `recipes.tricks.TRICKS`, as they are spelled: "oversampling:share=0.5"; left out, none, or those that
            the run was begun with.
        weights: a file of `pretrain`: networks begin with them; its plan and network are taken where none are given.
        labelled: so many labelled cases are drawn for each fold, of different patients where it can be, and the other
            training cases are not used; left out, all are, or as the run was begun.
        alone: leave out what is trained beside the method.
        resume: go on with the run that is there; what is trained already stays.
        overwrite: remove the run that is there.
        quiet: no progress.

    Raises:
        SettingError, RunError, SplitError, LabelError, SceneError, DataFileError: what cannot be done, before training.
    """
    if minutes is not None and steps is not None:
        raise SettingError("minutes and steps contradict each other: give one of them.")
    root = Path(out)
    refuse_existing(root, read_run, resume=resume, overwrite=overwrite)
    made = read_plan(Path(plan)) if isinstance(plan, str | Path) else plan
    budget, as_begun = Budget(minutes, steps), minutes is None and steps is None
    if as_begun:
        budget = budget_of(root, otherwise=Budget(MINUTES), resume=resume)
    chosen = begun_method(root, method, settings or {}, with_weights(tricks, weights), resume=resume)
    where = choose_device(device)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    cases = _opened(folder, spacing, target, begun(root, resume=resume), quiet=quiet)
    say(f"{cases.root}: {cases.layout}; {cases.rule}", quiet=quiet)
    if made is None and weights is not None and begun(root, resume=resume) is None:
        made, networks = plan_of_weights(Path(weights), cases, networks, quiet=quiet)
    if made is None:
        bar = counted_progress(f"Looking at {cases.root}", unit="cases", quiet=quiet)
        with pointing_to_check(cases.root), bar as progress:
            made = plan_of(cases, root, budget, device=runtime.device, resume=resume, method=chosen, progress=progress)
    if plan is not None or begun(root, resume=resume) is None:
        made = chosen.planned(made)
    asked = tuple(one.name for one in made.configurations) if ALL in networks else tuple(networks)
    order = Order(
        budget, asked, fold, mirror=mirror, as_begun=as_begun, watts=watts, method=chosen, alone=alone,
        plan_given=plan is not None, labelled=labelled,
    )  # fmt: skip
    try:
        run = train_cases(cases, made, root, order, runtime, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as stop:
        raise Interrupted(root) from stop
    for one in (run, *run.beside.values()):
        write_run_page(one)
    return run


def predict(
    run: str | Path | SegmentRun, images: str | Path, *, out: str | Path, device: str = "auto",
    mirror: bool | None = None, folds: Sequence[int] | None = None, region_first: bool = False, overlays: bool = False,
    uncertainty: bool = False, settings: Mapping[str, Any] | None = None, tricks: Sequence[str] = (),
    overwrite: bool = False, quiet: bool = False,
) -> list[Path]:  # fmt: skip
    """Predict every image of a folder (or one file), each on its own grid; see `predict_images`.

    Args:
        settings: of the run's method that a prediction may change, by name: {"samples": 25}.
        tricks: that change predictions alone, more than the run has, as they are spelled: "tta:views=flips"; of one
            that it has the settings.

    Returns:
        the files written, NAME.nii.gz, NAME.png or NAME.npy in `out`.
    """
    return predict_images(
        run.root if isinstance(run, SegmentRun) else Path(run), Path(images), out=Path(out), device=device,
        mirror=mirror, folds=folds, region_first=region_first, overlays=overlays, uncertainty=uncertainty,
        settings=settings, tricks=tricks, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def evaluate(
    run: str | Path | SegmentRun, data: str | Path | None = None, *, out: str | Path,
    settings: Mapping[str, Any] | None = None, tricks: Sequence[str] = (), curve: Sequence[int] = CURVE,
    device: str = "auto", mirror: bool | None = None, folds: Sequence[int] | None = None, overwrite: bool = False,
    quiet: bool = False,
) -> Evaluation:  # fmt: skip
    """How good and how honest the networks of a run are, and those of methods beside it; see `evaluate_run`.

    Args:
        data: a labelled folder; left out, the run's own images, each by the fold that never saw it.
        tricks: as of `predict`; the methods beside it get them too.
    """
    return evaluate_run(
        run.root if isinstance(run, SegmentRun) else Path(run), None if data is None else Path(data), out=Path(out),
        settings=settings, tricks=tricks, curve=curve, device=device, mirror=mirror, folds=folds,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def score(predictions: str | Path, labels: str | Path, *, target: str | Sequence[str] = ()) -> Scored:
    """Dice, IoU, HD95 and ASSD of every class and case; see `score_cases`."""
    return score_cases(Path(predictions), Path(labels), target=target)


def _opened(
    folder: Folder, spacing: tuple[float, ...] = (), target: str | Sequence[str] = (), run: SegmentRun | None = None,
    *, quiet: bool = True,
) -> CaseFolder:  # fmt: skip
    """The cases of a folder; a run that goes on has the spacing and the targets that it was begun with."""
    if isinstance(folder, CaseFolder):
        if spacing or target:
            raise SettingError(f"{folder.root}: is open already; give spacing and target to open_cases.")
        return folder
    if run is not None:
        spacing, target = spacing or run.record.spacing, target or run.record.targets
    return read_folder(Path(folder), spacing, target, quiet=quiet)
