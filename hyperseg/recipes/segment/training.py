"""From a folder and a plan to trained networks: every fold, then what cross-validation decides."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hyperseg.core import RunError, SettingError
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import listed, number
from hyperseg.engine.meter import metered
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write.runs import refuse_existing
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.caching import INDEX, cache_cases
from hyperseg.recipes.segment.checks import check_classes, check_labels, check_plan, chosen_folds, warn_of_mirrors
from hyperseg.recipes.segment.costs.record import compared, expect, note_preparing
from hyperseg.recipes.segment.few_labels.drawing import draw_labelled, warn_of_lacking
from hyperseg.recipes.segment.few_labels.weights import SEEN, about_seen, seen_by
from hyperseg.recipes.segment.fold import Budget, train_fold
from hyperseg.recipes.segment.folder import BESIDE, Record, SegmentRun, named_folds, read_run, trained_folds, write_run
from hyperseg.recipes.segment.held_out.first import answer_first
from hyperseg.recipes.segment.held_out.networks import mirrored
from hyperseg.recipes.segment.held_out.pairs import AND, compare_pairs, forget_pairs
from hyperseg.recipes.segment.methods.beside import started_beside, steps_of
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.segment.planning import refuse_faults
from hyperseg.recipes.segment.resuming.files import prints_of
from hyperseg.recipes.segment.resuming.ready import check_ready
from hyperseg.recipes.segment.resuming.standing import budgets_of, check_standing
from hyperseg.recipes.segment.starting import BUDGET, CACHE, PLAN_GIVEN, begun, recommended, start
from hyperseg.recipes.segment.summing import summed

log = logging.getLogger(__name__)

Work = list[tuple[Configuration, tuple[int, ...]]]
"""Configurations, and the folds of each."""


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        budget: of each network.
        configurations: names of the plan; none leaves it to `starting.recommended`.
        fold: the only one, or None for all. The first network of a cascade is trained on all of them in any case.
        mirror: cases of a fold are predicted with their mirror images; None leaves it to `networks.mirrored`, or to
            what a run was begun with.
        as_begun: nobody asked for the budget: configurations that have been begun go on with their own.
        watts: of the machine at work, for the estimate of energy where the machine does not tell; None assumes some.
        method: what is trained, with its settings.
        alone: nothing is trained beside it.
        plan_given: by a user, who may have changed it, or have made it with tricks.
        labelled: so many labelled cases are drawn for each fold, and no other one is learnt from; None takes all, or
            as many as a run was begun with.
    """

    budget: Budget
    configurations: tuple[str, ...] = ()
    fold: int | None = None
    mirror: bool | None = None
    as_begun: bool = False
    watts: float | None = None
    method: CaseMethod = field(default_factory=case_method)
    alone: bool = False
    plan_given: bool = False
    labelled: int | None = None


@dataclass(frozen=True)
class Cases:
    """The cases of a folder, and where they are prepared.

    Attributes:
        folder, prints: the cases, and what their files hold.
        cache: where they are prepared; those of a cascade, which hold answers, in a cache of their run.
        stay: they are needed again.
    """

    folder: CaseFolder
    prints: Mapping[str, str]
    cache: Path
    stay: bool

    def at(self, run: SegmentRun, configuration: Configuration) -> Path:
        return (run.root / CACHE if configuration.after else self.cache) / configuration.name


def train_cases(
    folder: CaseFolder, plan: Plan, root: Path, order: Order, runtime: Runtime, *, resume: bool = False,
    overwrite: bool = False,
) -> SegmentRun:  # fmt: skip
    """Train networks of a plan by cross-validation into a run folder.

    Prepared cases lie in a folder of the run while it is trained, on disk, also for methods beside, and are removed in
    the end. Networks that are there already are not trained again unless they are damaged; an unfinished one goes on
    where it stopped.

    Args:
        folder: as `open_cases` gives it.
        plan: of this folder; of a run that is resumed, its own.
        root: the run's folder.
        order: which networks, and how long.
        runtime: seed, device and progress.
        resume: go on with the run that is there.
        overwrite: a run that is there is removed.

    Raises:
        RunError: the folder holds a run, or another one than would be resumed.
        SettingError, SplitError, LabelError, SceneError, DataFileError: an order that cannot be done, before training.
    """
    refuse_existing(root, read_run, resume=resume, overwrite=overwrite)
    refuse_faults(folder)
    check_plan(plan, folder)
    beside = () if order.alone else order.method.beside()
    for method in (order.method, *beside):
        method.on.check(plan, method.settings)
    names = order.configurations or recommended(plan, order.budget)
    parts = chosen_folds(folder, plan.training.inference.folds, runtime.seed)
    work = work_of(plan, names, order.fold, len(parts))
    check_ready({root: order.method} | {root / BESIDE / one.name: one for one in beside}, plan, work)
    labelled = _labelled(folder, root, parts, order.labelled, runtime.seed, resume=resume)
    which = sorted({fold for _, folds in work for fold in folds})
    if labelled:
        warn_of_lacking(folder, labelled, which, plan.facts.classes)
    else:
        check_labels(folder, parts, which, plan.facts.classes)
    record = Record(
        str(folder.root), folder.classes, folder.codes, folder.channels, runtime.seed, parts,
        mirrored=mirrored(plan, runtime, order.mirror), versions=_versions(), spacing=folder.spacing,
        targets=folder.targets, prints=prints_of(folder, quiet=runtime.quiet), method=order.method.name,
        settings=order.method.record, tricks=order.method.tricks, labelled=labelled,
        found={BUDGET: asdict(order.budget)} | ({PLAN_GIVEN: True} if order.plan_given else {}),
    )  # fmt: skip
    fresh = begun(root, resume=resume) is None
    if fresh and (seen := seen_by(order.method.tricks, parts, folder, quiet=runtime.quiet)):
        record.found[SEEN] = seen
        if told := about_seen(seen, which):
            log.warning("%s", told)
    run = start(root, plan, record, resume=resume, overwrite=overwrite)
    if order.mirror not in (None, run.record.mirrored):
        was = "with" if run.record.mirrored else "without"
        raise RunError(f"{root}: was begun {was} mirror images. Resume so, or train into another folder.")
    warn_of_mirrors(plan, order.mirror)
    lock = take(root)
    try:
        check_standing(run)
        budgets = budgets_of(run, work, names, order.budget, as_begun=order.as_begun)
        if beside:
            others = listed(method.name for method in beside)
            say(
                f"beside it, afterwards and for as many steps, training of {others}; --alone leaves that out",
                quiet=runtime.quiet,
            )
        cases = Cases(folder, record.prints, root / CACHE, stay=bool(beside))
        run = _train(run, cases, work, budgets, order.watts, runtime)
        for method in beside:
            other, steps = started_beside(run, method), steps_of(run, work)
            say(f"beside it, {method.name}: the same folds for as many steps", quiet=runtime.quiet)
            _train(other, cases, work, steps, order.watts, runtime)
        shutil.rmtree(root / CACHE, ignore_errors=True)
    finally:
        lock.release()
    return run


def _labelled(
    folder: CaseFolder, root: Path, parts: Sequence[tuple[str, ...]], n: int | None, seed: int, *, resume: bool
) -> tuple[tuple[str, ...], ...]:  # fmt: skip
    """The cases that each fold learns from where only some are; of a run that goes on its own."""
    run = begun(root, resume=resume)
    if n is None:
        return () if run is None else run.record.labelled
    return draw_labelled(folder.cases, parts, n, seed)


def _train(
    run: SegmentRun, cases: Cases, work: Work, budgets: Mapping[str, Budget], watts: float | None, runtime: Runtime
) -> SegmentRun:  # fmt: skip
    """Train what is missing of a run that has been started, and note what came of it."""
    for one, which in work:
        there = (cases.at(run, one) / INDEX).exists()
        expect(run, cases.folder, one, which, budgets[one.name], runtime, watts=watts, prepared=there)
    for one, which in work:
        _train_configuration(run, cases, one, which, budgets[one.name], runtime)
    n_folds = len(run.record.folds)
    whole = [one.name for one in run.plan.configurations if len(trained_folds(run, one.name)) == n_folds]
    compare_pairs(run, cases.folder, whole, mirror=run.record.mirrored, runtime=runtime)
    run = _noted(run)
    _say(run, runtime)
    if not cases.stay or run.root / CACHE != cases.cache:
        shutil.rmtree(run.root / CACHE, ignore_errors=True)
    return run


def work_of(plan: Plan, names: Sequence[str], fold: int | None, n_folds: int) -> Work:
    """What is trained, in this order, and on which folds.

    The first network of a cascade comes before the second, and on all folds: the second one learns from what each fold
    says of the cases that it never saw.

    Raises:
        SettingError: a configuration or a fold that there is not.
    """
    if fold is not None and not 0 <= fold < n_folds:
        raise SettingError(f"fold {fold} is unknown: there are {n_folds}, numbered from 0. Or train all of them.")
    every = tuple(range(n_folds))
    asked = every if fold is None else (fold,)
    chosen = [plan.configuration(name) for name in dict.fromkeys(names)]
    firsts = [plan.configuration(one.after) for one in chosen if one.after]
    found = {one.name: (one, every) for one in firsts}
    for one in chosen:
        found.setdefault(one.name, (one, asked))
    if asked != every and firsts:
        log.info("%s is trained on all folds: its answers are what a cascade learns from.", firsts[0].name)
    return list(found.values())


def _train_configuration(
    run: SegmentRun, cases: Cases, configuration: Configuration, which: Sequence[int], budget: Budget, runtime: Runtime
) -> None:  # fmt: skip
    missing = [fold for fold in which if fold not in trained_folds(run, configuration.name)]
    if there := sorted(set(which) - set(missing)):
        log.info("%s: trained already, and left as they are: %s.", configuration.name, named_folds(there))
    if not missing:
        return
    folder, where, title = cases.folder, cases.at(run, configuration), f"Preparing cases for {configuration.name}"
    with counted_progress(title, unit="cases", quiet=runtime.quiet) as progress, metered(runtime.device) as usage:
        stored = cache_cases(folder, run.plan, configuration, where, cases.prints, progress=progress)
    note_preparing(run, configuration.name, usage)
    for fold in missing if not run.record.labelled else ():
        check_classes(stored, run.record.folds[fold], run.plan.facts.classes, fold)
    mirror = run.record.mirrored
    after = [one.name for one in run.plan.configurations if one.after == configuration.name]
    forget_pairs(run.root, [configuration.name, *after])
    if configuration.after:
        stored = answer_first(run, folder, configuration, stored, mirror=mirror, runtime=runtime)
    for fold in missing:
        train_fold(run, folder, configuration, fold, stored, budget, runtime, mirror=mirror)
        _noted(run)  # whatever comes, this fold can predict
    for name in after:
        shutil.rmtree(run.root / CACHE / name, ignore_errors=True)  # answers of networks that were there before are old
    if not cases.stay or configuration.after:
        shutil.rmtree(where, ignore_errors=True)


def _noted(run: SegmentRun) -> SegmentRun:
    """Note in run.json what has been trained, and what cross-validation says of it."""
    trained: dict[str, list[int]] = {}
    for configuration in run.plan.configurations:
        if there := trained_folds(run, configuration.name):
            trained[configuration.name] = list(there)
    found = summed(run, trained)
    chosen, largest = found.chosen, found.largest
    record = replace(
        run.record, trained=trained, chosen=chosen, largest=largest,
        found={**run.record.found, **found.numbers, "costs": compared(run, trained)},
    )  # fmt: skip
    return write_run(run.root, run.plan, record)


def _say(run: SegmentRun, runtime: Runtime) -> None:
    """What predicts, and what its pieces do to Dice of the very cases that they were chosen on."""
    record, classes = run.record, run.plan.facts.classes
    if not record.largest or "kept" not in record.found:
        return
    before = record.found["dice"][AND.join(record.chosen)]["mean"]
    parts = listed(" and ".join(classes[k] for k in part) for part in record.largest)
    say(
        f"{AND.join(record.chosen)}: mean Dice {number(before, 3)}, {number(record.found['kept']['mean'], 3)} where "
        f"the largest piece alone is kept of {parts}",
        quiet=runtime.quiet,
    )


def _versions() -> dict[str, str]:
    from hyperseg.recipes.run.outputs import versions

    return versions()
