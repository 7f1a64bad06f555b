"""How a training of detectors begins: the folder, who is learnt from, the plan, and whether a run may go on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import sweep
from hyperseg.core.runtime import check_minutes
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, some
from hyperseg.io.detections.case import BoxCase, BoxFolder
from hyperseg.io.write.runs import budget_begun, check_prints
from hyperseg.io.write.targets import RECORD
from hyperseg.medical.resample import resampled_size
from hyperseg.recipes.detection.folder import (
    BESIDE,
    CACHE,
    FOUND,
    METRICS,
    REPORT,
    UNFINISHED,
    WEIGHTS,
    DetectRun,
    Record,
    read_run,
    write_run,
)
from hyperseg.recipes.detection.images.dividing import TEST, Division, divide
from hyperseg.recipes.detection.images.volume import alike
from hyperseg.recipes.detection.planning import Plan, make_plan, plan_network
from hyperseg.recipes.detection.settings import FOCALMIX, DetectSettings, Method, settings_of

MINUTES = 10.0  # where nobody says


@dataclass(frozen=True)
class Order:
    """What is to be trained, and on what.

    Attributes:
        method: and `changes` of its settings, by name.
        minutes, steps: how long; at most one of them. Where neither is given, `MINUTES`, or as the run was begun.
        labelled: cases that are learnt from with boxes; all where nobody says.
        test: share of the cases with boxes that is held out; `TEST` where nobody says, or both as the run was begun.
        alone: nothing is trained beside it.
    """

    method: Method = FOCALMIX
    changes: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None
    steps: int | None = None
    labelled: int | None = None
    test: float | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        check_minutes(self.minutes)

    @property
    def budget(self) -> dict[str, float]:
        """As the record keeps it."""
        if self.steps is not None:
            return {"steps": self.steps}
        return {"minutes": MINUTES if self.minutes is None else self.minutes}


@dataclass(frozen=True)
class Cases:
    """The cases of a run, by what is done with them."""

    labelled: tuple[BoxCase, ...]
    unlabelled: tuple[BoxCase, ...]
    held_out: tuple[BoxCase, ...]

    @property
    def every(self) -> tuple[BoxCase, ...]:
        """All of them."""
        return (*self.labelled, *self.unlabelled, *self.held_out)


def divided(folder: BoxFolder, order: Order, seed: int) -> tuple[Division, Cases]:
    """Who is learnt from with boxes, who without, and who is held out.

    Raises:
        SettingError: too few cases, or a method that learns from unlabelled ones and there are none.
    """
    known = {case.name: case for case in (*folder.cases, *folder.unlabelled)}
    division = divide(
        folder.cases,
        folder.unlabelled,
        labelled=order.labelled,
        test=TEST if order.test is None else order.test,
        seed=seed,
    )
    parts = (division.labelled, division.unlabelled, division.held_out)
    return division, Cases(*(tuple(known[name] for name in part) for part in parts))


def without_copies(division: Division, cases: Cases, contents: Mapping[str, bytes]) -> tuple[Division, Cases, str]:
    """Leave images without boxes out that are other cases under another name, held-out ones above all.

    Args:
        contents: of every case, what its files hold.

    Returns:
        both without them, and a sentence about it; "" where there are none.
    """
    own_last = sorted(cases.unlabelled, key=lambda case: (len(case.name), case.name), reverse=True)  # kept
    first = {contents[c.name]: c.name for c in (*own_last, *cases.labelled, *cases.held_out)}
    same = {c.name: first[contents[c.name]] for c in cases.unlabelled if first[contents[c.name]] != c.name}
    if not same:
        return division, cases, ""
    kept = tuple(case for case in cases.unlabelled if case.name not in same)
    held = sum(other in division.held_out for other in same.values())
    left_out = tuple(sorted((*division.left_out, *same)))
    return (
        replace(division, unlabelled=tuple(case.name for case in kept), left_out=left_out),
        replace(cases, unlabelled=kept),
        f"{counted(len(same), 'image')} without boxes left out, the same bytes as another case ({held} of them as one "
        f"that is held out): {some((f'{name} is {other}' for name, other in same.items()), 3)}",
    )


def check_unlabelled(division: Division, settings: DetectSettings) -> None:
    """Who learns from images without boxes has some."""
    if settings.focalmix.unlabelled and not division.unlabelled:
        raise SettingError(
            f"{FOCALMIX} learns from images without boxes too, and there are none: all {len(division.labelled)} cases "
            "that are not held out are labelled. Give some (--unlabelled DIR), let fewer be labelled (--labelled N), "
            "or learn from labels alone (--method supervised)."
        )


def common_spacing(cases: Sequence[BoxCase]) -> tuple[float, ...]:
    """The median spacing of cases that say theirs, in mm per axis; () where none does."""
    known = [case.spacing for case in cases if len(case.spacing)]
    return tuple(float(f"{mm:.4g}") for mm in np.median(known, axis=0)) if known else ()


def planned(cases: Cases, order: Order, device: str, channels: int) -> tuple[DetectSettings, Plan]:
    """Settings and plan, from the labelled cases alone but for the spacing, which all that are learnt from decide."""
    target = common_spacing((*cases.labelled, *cases.unlabelled))
    boxes, sizes = [], []
    for case in cases.labelled:
        size = tuple(case.shape)
        if target and len(case.spacing) and not alike(case.spacing, target):
            size = resampled_size(size, tuple(case.spacing), target)
        factors = np.asarray(size, np.float64) / np.asarray(case.shape, np.float64)
        boxes.append(boxes_of(case) * np.tile(factors, 2))
        sizes.append(size)
    every = np.concatenate(boxes)
    settings = settings_of(order.method, plan_network(every, sizes, device), order.changes)
    return settings, make_plan(settings, every, sizes, target, channels=channels, device=device)


def start(root: Path, record: Record, *, resume: bool, overwrite: bool) -> DetectRun:
    """The run's folder with its record; `refuse_existing` has let it pass. A run that goes on keeps its own record.

    Raises:
        RunError: the run that would go on is another one.
    """
    if resume and (root / RECORD).exists():
        run = read_run(root)
        check_same(root, run.record, record)
        return run
    if overwrite and (root / RECORD).exists():
        for name in (CACHE, BESIDE):
            shutil.rmtree(root / name, ignore_errors=True)
        for file in (
            *root.glob(f"{UNFINISHED}-*"),
            *(root / name for name in (RECORD, WEIGHTS, METRICS, FOUND, REPORT)),
        ):
            file.unlink(missing_ok=True)
    run = write_run(root, record)
    sweep(root)
    return run


def check_same(root: Path, begun: Record, now: Record) -> None:
    """Refuse a run that was begun with something else, by its name."""
    remedy = "Resume with the same data and options, or train into another folder."
    check_prints(root, begun.prints, now.prints, remedy=remedy)
    for what in ("method", "seed", "division", "settings", "plan"):
        if to_json(getattr(begun, what)) != to_json(getattr(now, what)):
            raise RunError(f"{root}: was begun with {_told(what, begun, now)}. {remedy}")


def as_begun(root: Path, order: Order, *, resume: bool) -> Order:
    """The order with budget, labelled cases and share held out of the run that goes on, where none are given.

    Raises:
        RunError: another budget than it was begun with, whose steps are fixed already.
    """
    if not (resume and (root / RECORD).exists()):
        return order
    begun = read_run(root).record
    asked = None if order.minutes is None and order.steps is None else order.budget
    return replace(
        order, **budget_begun(root, asked, begun.budget),
        labelled=begun.labelled if order.labelled is None else order.labelled,
        test=begun.test if order.test is None else order.test,
    )  # fmt: skip


def _told(what: str, begun: Record, now: Record) -> str:
    if what in ("method", "seed"):
        return f"{what} {getattr(begun, what)}, not {getattr(now, what)}"
    if what == "division":
        return (
            f"{counted(len(begun.division.labelled), 'labelled case')} and {len(begun.division.held_out)} held out, "
            f"not {len(now.division.labelled)} and {len(now.division.held_out)}, or others of them"
        )
    return f"other {what}"


def boxes_of(case: BoxCase) -> NDArray[np.float64]:
    """The boxes (M, 2n) of a case in voxels of its file; none where it has none."""
    axes = len(case.shape)
    return np.zeros((0, 2 * axes)) if case.boxes is None else np.asarray(case.boxes, np.float64).reshape(-1, 2 * axes)
