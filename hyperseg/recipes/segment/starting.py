"""How a training begins: the run's folder, and the plan where none is given."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperseg.core import RunError
from hyperseg.core.files import sweep
from hyperseg.core.words import listed
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write.runs import check_prints
from hyperseg.io.write.targets import RECORD
from hyperseg.medical import networks
from hyperseg.medical.explain import by
from hyperseg.medical.plan import Plan
from hyperseg.recipes.methods import ON_FOLDERS
from hyperseg.recipes.segment.coarsening import coarsened
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import BESIDE, PLAN, Record, SegmentRun, read_run, write_run
from hyperseg.recipes.segment.held_out.pairs import PAIRS
from hyperseg.recipes.segment.learning import SHORT_STEPS
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method, chosen_method
from hyperseg.recipes.segment.narrowing import narrowed, unmirrored
from hyperseg.recipes.segment.planning import pace_of, plan_cases
from hyperseg.recipes.tricks.words import with_tricks

log = logging.getLogger(__name__)

CACHE, BUDGET, PLAN_GIVEN, REPORT = "cache", "budget", "plan_given", "report.html"
LONG_MINUTES = 60.0  # of a network: with so many a cascade is trained too
COARSE_STEPS = 200  # that a training of so many minutes should have at least: large images are made coarser for it
NARROW_STEPS = 500  # for so many batches become smaller and networks narrower
PUT_BACK = "Put its image and label back as they were, train into another folder, or begin anew by --overwrite."


def begun(root: Path, *, resume: bool) -> SegmentRun | None:
    """The run that goes on; None where there is none, or it is not to go on."""
    return read_run(root) if resume and (root / RECORD).exists() else None


def budget_of(root: Path, *, otherwise: Budget, resume: bool) -> Budget:
    """The budget that a run was begun with, where it goes on and nothing else is asked for."""
    run = begun(root, resume=resume)
    return otherwise if run is None else Budget(**run.record.found.get(BUDGET, asdict(otherwise)))


def recommended(plan: Plan, budget: Budget) -> tuple[str, ...]:
    """What is trained where nobody says: "3d" of volumes, "2d" of pictures; where there is time, a cascade too.

    In a short training "2d" of volumes with few slices too: a patch that is over three times as wide as deep costs much
    and shows little more than its slices (ACDC, ten volumes, fold 0, two minutes of a core: Dice 0.00 / 0.00 / 0.47
    after 111 steps in 3-D, 0.64 / 0.69 / 0.79 after 612 in 2-D).

    A plan has a cascade where a patch sees less than a quarter of an image. It is trained in trainings that are no
    short ones: from 2500 steps a network, an hour, or the plan's own length.

    Differs: nnU-Net trains all configurations; `--config all` does.
    """
    named = {one.name: one for one in plan.configurations}
    single = "3d" if "3d" in named else plan.configurations[0].name
    short = (budget.steps is not None and budget.steps < SHORT_STEPS) or (
        budget.minutes is not None and budget.minutes < LONG_MINUTES
    )
    if short and "2d" in named and named[single].in_plane:
        single = "2d"
    cascades = () if short else tuple(one.name for one in plan.configurations if one.after)
    return (single, *(name for name in cascades if name != single))


def begun_method(
    root: Path, name: str | None, changes: Mapping[str, Any], tricks: Sequence[str] = (), *, resume: bool
) -> CaseMethod:  # fmt: skip
    """The method of that name with its settings changed, and with tricks.

    Of a run that goes on its own settings are those changed, and its own tricks stay where none are named.

    Raises:
        SettingError: no such method or setting, or one that takes scenes alone.
    """
    run = begun(root, resume=resume)
    if run is None or name not in (None, run.record.method):
        return case_method(name or ON_FOLDERS, changes, tricks)
    found = chosen_method(run.record.method, run.method.settings, tricks) if tricks else run.method
    return found.with_(changes)


def plan_of(
    folder: CaseFolder, root: Path, budget: Budget, *, device: str, resume: bool = False, pace: float | None = None,
    method: CaseMethod | None = None, progress: Callable[[int, int], None] | None = None,
) -> Plan:  # fmt: skip
    """The plan of the run that goes on, or a new one.

    A new plan fits a card of 8 GB. On a CPU, where the time is given, large images are made coarser until at least
    `COARSE_STEPS` steps should fit into it, and batches smaller and networks narrower for `NARROW_STEPS`, at `pace`
    feature values a second (measured if None, with network and loss of `method`). Short trainings see no mirror images
    of a body, see `unmirrored`.

    Raises:
        SettingError, SceneError, LabelError, DataFileError, RunError: as `plan_cases` and `read_run`.
    """
    run = begun(root, resume=resume)
    if run is not None:
        return run.plan
    plan, steps = plan_cases(folder, progress=progress), budget.steps
    if budget.minutes is not None and device.startswith("cpu"):
        card = plan
        plan, steps = _for_minutes(plan, folder, budget, device, pace, method)
        _tell(card, plan, budget)
    return unmirrored(plan) if steps is not None and steps < SHORT_STEPS else plan


def _tell(card: Plan, made: Plan, budget: Budget) -> None:
    """Say what a plan for a card had to give up for a CPU."""
    name = recommended(made, budget)[0]
    before, after = card.configuration(name), made.configuration(name)
    changes = [
        f"{what} {new} instead of {old}"
        for what, old, new in (
            ("pixels of", by(card.spacing), by(made.spacing)), ("batches of", before.batch, after.batch),
            ("channels from", before.backbone.widths[0], after.backbone.widths[0]),
        )
        if old != new
    ]  # fmt: skip
    if changes:
        minutes = budget.minutes or 0.0
        log.info("%s: for %g minute%s of this CPU %s.", name, minutes, "" if minutes == 1 else "s", listed(changes))


def _for_minutes(
    plan: Plan, folder: CaseFolder, budget: Budget, device: str, pace: float | None, method: CaseMethod | None
) -> tuple[Plan, int]:  # fmt: skip
    """The plan for a CPU and so many minutes, and about how many steps fit into them.

    How coarsely volumes are looked at follows from what the 3-D network takes, also where the 2-D one is trained: ACDC
    (see `recommended`) has 0.64 / 0.69 / 0.79 with pixels twice as large (612 steps), 0.31 / 0.63 / 0.57
    with all of them (348 steps), width 16 both; with pixels twice as large and width 32 0.32 / 0.60 / 0.62 (400 steps).
    """
    assert budget.minutes is not None
    seconds = 60 * budget.minutes

    def fitted(pace: float) -> Plan:
        coarse = coarsened(plan, plan.main.name, patience=seconds / COARSE_STEPS, pace=pace)
        return narrowed(coarse, patience=seconds / NARROW_STEPS, pace=pace)

    if pace is None:
        pace = pace_of(folder, fitted(networks.measure_pace(len(plan.axes))), device, method)
    made = fitted(pace)
    first = made.configuration(recommended(made, budget)[0])
    return made, int(seconds * pace / (first.values * first.batch))


def start(root: Path, plan: Plan, record: Record, *, resume: bool, overwrite: bool) -> SegmentRun:
    """The run's folder, with plan and record in it; `refuse_existing` has let it pass.

    Raises:
        RunError: the run that would go on is another one.
    """
    run = begun(root, resume=resume)
    if run is not None:
        if run.plan != plan:
            raise RunError(f"{root}: was begun with another plan. Leave --plan out, or train into another folder.")
        _check_method(root, run.method, SegmentRun(root, plan, record).method)
        _check_same(root, run.record, record, ("classes", "codes", "channels", "seed", "spacing"))
        check_prints(root, run.record.prints, record.prints, remedy=PUT_BACK)  # before folds: it names the case
        _check_same(root, run.record, record, ("folds", "labelled"))
        return run
    if (root / RECORD).exists():
        names = [c.name for c in read_run(root).plan.configurations]
        for name in (CACHE, PAIRS, BESIDE, *names):
            shutil.rmtree(root / name, ignore_errors=True)
        for file in (root / RECORD, root / PLAN, root / REPORT):
            file.unlink(missing_ok=True)
    run = write_run(root, plan, record)
    sweep(root)
    return run


def _check_method(root: Path, begun: CaseMethod, now: CaseMethod) -> None:
    told = f"by {begun.name}, not by {now.name}"
    if begun.tricks != now.tricks:
        told = f"{with_tricks(begun.tricks)}, not {with_tricks(now.tricks)}"
    elif begun.name == now.name:
        pairs = zip(begun.leaves, now.leaves, strict=True)
        others = [f"with {a.path}={a.value}, not {b.value}" for a, b in pairs if a.value != b.value]
        if not others:
            return
        told = others[0]
    raise RunError(f"{root}: was begun {told}. Resume without saying either, or train into another folder.")


def _check_same(root: Path, begun: Record, now: Record, names: Sequence[str]) -> None:
    for what in names:
        if getattr(begun, what) != getattr(now, what):
            raise RunError(
                f"{root}: was begun with other {what} than {now.folder} has now. Resume with the same data, "
                "targets and seed, or train into another folder."
            )
