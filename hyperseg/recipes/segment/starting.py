"""How a training begins: the run's folder, and the plan where none is given."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import sweep
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write.targets import RECORD
from hyperseg.medical import networks
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import PLAN, Record, SegmentRun, read_run, write_run
from hyperseg.recipes.segment.narrowing import narrowed
from hyperseg.recipes.segment.planning import plan_cases, read_plan

CACHE, BUDGET = "cache", "budget"
WORTHWHILE_STEPS = 200  # that a training of so many minutes should have at least: on a CPU the step is planned for it


def refuse_existing(root: Path, *, resume: bool, overwrite: bool) -> None:
    """Nothing that is there is written over unless it is a run, and the user says so.

    Raises:
        RunError: the folder holds something.
        SettingError: both wishes at once.
    """
    if resume and overwrite:
        raise SettingError("--resume goes on with a run, --overwrite removes it: give one of them.")
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    if not resume and not overwrite:
        more = " --resume goes on with it," if (root / RECORD).exists() else ""
        raise RunError(f"{root}: is there already;{more} --overwrite replaces a run, --out takes another folder.")
    read_run(root)  # nothing but a run goes on, or is ever removed


def budget_of(root: Path, *, otherwise: Budget, resume: bool) -> Budget:
    """The budget that a run was begun with, where it goes on and nothing else is asked for."""
    if resume and (root / RECORD).exists():
        return Budget(**read_run(root).record.found.get(BUDGET, asdict(otherwise)))
    return otherwise


def plan_of(
    folder: CaseFolder, root: Path, file: Path | None, budget: Budget, *, device: str, resume: bool = False,
    pace: float | None = None, progress: Callable[[int, int], None] | None = None,
) -> Plan:  # fmt: skip
    """The plan of the run that goes on, that of a file, or a new one.

    A new plan fits a card of 8 GB. On a CPU, where the time is given, batches are made smaller and networks narrower
    until at least `WORTHWHILE_STEPS` steps should fit into it, at `pace` feature values a second (measured if None).

    Raises:
        SettingError, SceneError, LabelError, DataFileError, RunError: as `read_plan`, `plan_cases` and `read_run`.
    """
    if resume and file is None and (root / RECORD).exists():
        return read_run(root).plan
    if file is not None:
        return read_plan(file)
    plan = plan_cases(folder, progress=progress)
    if budget.minutes is None or not device.startswith("cpu"):
        return plan
    pace = networks.measure_pace(len(plan.axes)) if pace is None else pace
    return narrowed(plan, patience=60 * budget.minutes / WORTHWHILE_STEPS, pace=pace)


def start(root: Path, plan: Plan, record: Record, *, resume: bool, overwrite: bool) -> SegmentRun:
    """The run's folder, with plan and record in it; `refuse_existing` has let it pass.

    Raises:
        RunError: the run that would go on is another one.
    """
    if resume and (root / RECORD).exists():
        run = read_run(root)
        if run.plan != plan:
            raise RunError(f"{root}: was begun with another plan. Leave --plan out, or train into another folder.")
        theirs = run.record
        for what in ("classes", "codes", "channels", "seed", "folds"):
            if getattr(theirs, what) != getattr(record, what):
                raise RunError(
                    f"{root}: was begun with other {what} than {record.folder} has now. Resume with the same data and "
                    "seed, or train into another folder."
                )
        return run
    if (root / RECORD).exists():
        names = [c.name for c in read_run(root).plan.configurations]
        for name in (CACHE, *names):
            shutil.rmtree(root / name, ignore_errors=True)
        for file in (root / RECORD, root / PLAN):
            file.unlink(missing_ok=True)
    run = write_run(root, plan, record)
    sweep(root)
    return run
