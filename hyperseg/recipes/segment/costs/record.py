"""Estimates of a run kept beside its networks, what was measured, and the two compared.

RUN/3d/costs.json    before the first fold: the estimate; when cases are prepared: what that took
RUN/3d/fold0/history.json    "used": what training and validation of the fold took
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json
from hyperseg.engine.device import choose_precision
from hyperseg.engine.meter import Usage
from hyperseg.engine.progress import say, working
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write import write_json
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.costs.estimate import HOUR_S, Estimate, estimate
from hyperseg.recipes.segment.costs.pace import measure_pace
from hyperseg.recipes.segment.costs.sentences import expected
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import HISTORY, SegmentRun, fold_folder, trained_folds

COSTS = "costs.json"
PARTS = ("training", "validation")
Row = dict[str, float | None]


def tried(folder: CaseFolder, plan: Plan, one: Configuration, *, watts: float | None = None) -> Estimate:
    """What a network of a plan takes on this machine's CPU with the plan's number of steps; nothing is kept."""
    device = "cpu"
    runtime = Runtime(device=device, precision=choose_precision(device), quiet=True)
    pace = measure_pace(folder, plan, one, runtime, watts=watts)
    n_folds = max(1, min(plan.training.inference.folds, len({case.group or case.name for case in folder.cases})))
    return estimate(plan, one, pace, Budget(), n_cases=len(folder.cases), n_folds=n_folds)


def expect(
    run: SegmentRun, folder: CaseFolder, one: Configuration, which: Sequence[int], budget: Budget, runtime: Runtime, *,
    watts: float | None = None, prepared: bool = False,
) -> None:  # fmt: skip
    """Estimate what is about to be trained, say it, and keep it; not where an estimate of this budget is there.

    Args:
        run, folder: what is trained, and on which cases.
        one, which: a configuration and its folds.
        budget, runtime, watts: as of `training.train_cases`.
        prepared: its cases are there.
    """
    if not set(which) - set(trained_folds(run, one.name)):
        return
    file = run.root / one.name / COSTS
    kept = _read(file)
    found = _estimate(kept)
    if found is None or kept.get("budget") != asdict(budget):
        with working(f"Trying how fast {one.name} is", quiet=runtime.quiet):
            pace = measure_pace(folder, run.plan, one, runtime, watts=watts, method=run.method)
        pace = replace(pace, prepare_s=0.0) if prepared else pace
        folds, mirror = run.record.folds, run.record.mirrored
        found = estimate(
            run.plan, one, pace, budget, n_cases=sum(map(len, folds)), n_folds=len(folds), mirror=mirror
        )  # fmt: skip
        make_folder(file.parent)
        write_json(file, kept | {"budget": asdict(budget), "pace": asdict(pace), "estimate": asdict(found)})
    say(expected(one.name, found, len(which)), quiet=runtime.quiet)


def note_preparing(run: SegmentRun, name: str, usage: Usage) -> None:
    """Keep what preparing took; not where cases were there already."""
    file = run.root / name / COSTS
    kept = _read(file)
    before = kept.get("preparing")
    if before is None or before["seconds"] < usage.seconds:
        make_folder(file.parent)
        write_json(file, kept | {"preparing": asdict(usage)})


def compared(run: SegmentRun, trained: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Estimates beside what was measured, by configuration: JSON for run.json.

    Of each: "folds" that were trained, the "estimate", and "rows" of steps of a fold; seconds of preparing, of training
    a fold, of predicting its cases, and of all; bytes of training and of prediction; watt hours. A row has what was
    "estimated" and "measured", and the "ratio" of the second to the first; of seconds also those "waited" for a
    processor that other work had, which the ratio leaves out unless minutes of training were given. "energy" is
    "measured" where counters told it, else "estimated": the watts of the estimate times those seconds.
    """
    found = {name: _compared(run, name, folds) for name, folds in trained.items()}
    return {name: row for name, row in found.items() if row}


def _compared(run: SegmentRun, name: str, folds: Sequence[int]) -> dict[str, Any]:
    kept = _read(run.root / name / COSTS)
    histories = [_read(fold_folder(run.root, name, fold) / HISTORY) for fold in folds]
    done = [one for one in histories if "used" in one]
    held_out = sum(len(run.record.folds[fold]) for fold, one in zip(folds, histories, strict=True) if one in done)
    before, preparing = _estimate(kept), kept.get("preparing")
    if before is None or preparing is None or not done:
        return {}
    n = len(done)
    whole = before.validation_s * held_out * before.n_folds / before.n_cases  # folds of few cases are not alike
    parts = {part: [one["used"][part] for one in done] for part in PARTS}
    every = (preparing, *parts["training"], *parts["validation"])
    total, waited = (sum(one[what] for one in every) for what in ("seconds", "waited_s"))
    joules = [one["joules"] for one in every]
    counted = None not in joules
    spent = (sum(joules) if counted else before.watts * (total - (0 if before.by_clock else waited))) / HOUR_S
    seconds = before.preparing_s + n * before.training_s + whole
    rows = {
        "steps": _row(before.steps, sum(one["steps"] for one in done) / n),
        "preparing_s": _time(before.preparing_s, [preparing]),
        "training_s": _time(before.training_s, parts["training"], n, by_clock=before.by_clock),
        "validation_s": _time(whole / n, parts["validation"], n),
        "total_s": _time(seconds, every, by_clock=before.by_clock),
        "training_bytes": _row(before.training_bytes, _most(parts["training"])),
        "prediction_bytes": _row(before.prediction_bytes, _most(parts["validation"])),
        "watt_hours": _row(before.watts * seconds / HOUR_S, spent),
    }
    energy = "measured" if counted else "estimated"
    return {"folds": list(folds), "energy": energy, "estimate": kept["estimate"], "rows": rows}


def _time(estimated: float, parts: Sequence[Mapping[str, Any]], n: int = 1, *, by_clock: bool = False) -> Row:
    """Of the mean of `n`; the ratio is without the time that other work had, unless it is that of a clock."""
    seconds, waited = (sum(one[what] for one in parts) / n for what in ("seconds", "waited_s"))
    return _row(estimated, seconds if by_clock else seconds - waited) | {"measured": seconds, "waited": waited}


def _row(estimated: float, measured: float | None) -> Row:
    ratio = None if measured is None or not estimated else measured / estimated
    return {"estimated": estimated, "measured": measured, "ratio": ratio}


def _most(parts: Sequence[Mapping[str, Any]]) -> int | None:
    known = [one["peak_bytes"] for one in parts if one["peak_bytes"] is not None]
    return max(known, default=None)


def _read(file: Path) -> dict[str, Any]:
    """JSON of a file; nothing where it is not there or damaged: estimates are no reason to stop."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _estimate(kept: Mapping[str, Any]) -> Estimate | None:
    """The estimate that was kept; None where there is none, or one of another version."""
    try:
        return from_json(Estimate, kept["estimate"])
    except (KeyError, SettingError):
        return None
