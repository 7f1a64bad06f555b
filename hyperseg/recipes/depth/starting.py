"""How a training of depth begins: its settings, and whether a run may go on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import sweep
from hyperseg.core.settings import changed, leaves
from hyperseg.io.depths import Unit
from hyperseg.io.write.runs import check_prints
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.depth.folder import (
    DENOISER,
    HEADS,
    JUDGE,
    METRICS,
    PICTURE,
    PRIOR,
    READABLE,
    REPORT,
    ROOMS,
    SAMPLES,
    SCORES,
    SHEET,
    TABLE,
    UNFINISHED,
    DepthRun,
    Record,
    read_run,
    write_run,
)
from hyperseg.recipes.depth.settings import DepthSettings

SHARE = 3  # heads and prior are trained for a third of the denoiser's steps


@dataclass(frozen=True)
class Order:
    """What is to be trained.

    Attributes:
        folder: pictures with depth; None for rooms that are rendered.
        changes: of the settings, by name.
        steps: of the denoiser; heads and prior take a third of them each. None: as the settings say.
        unit: of the depth in the folder's files; None: judged, or as the run was begun.
        per_metre: how many of their numbers are one metre, in place of a unit.
    """

    folder: Path | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    unit: Unit | None = None
    per_metre: float | None = None

    @property
    def data(self) -> str:
        """As the record keeps it."""
        return ROOMS if self.folder is None else str(self.folder.absolute())


def settings_of(order: Order, begun: DepthSettings | None = None) -> DepthSettings:
    """The settings with changes; those of a run that goes on are changed.

    Raises:
        SettingError: no such setting, a value it cannot have, one that nothing looks at beside the others, or two ways
            to say how many steps.
    """
    base, changes = DepthSettings() if begun is None else begun, dict(order.changes)
    by_name = {leaf.path: leaf for leaf in leaves(base)}
    if order.steps is not None:
        fewer = max(order.steps // SHARE, 1)
        own = {"denoiser.steps": order.steps, "heads.steps": fewer, "prior.steps": fewer}
        changes = own | changes
        if "denoiser.steps" in order.changes:
            raise SettingError("--steps and denoiser.steps say the same: give one of them.")
    chosen = changed(base, changes)
    if not chosen.prior.steps and (
        unread := [n for n in order.changes if n.startswith("prior.") and n != "prior.steps"]
    ):
        raise SettingError(f"{unread[0]} would change nothing: prior.steps is 0, no prior is trained. Leave it out.")
    idle, why = ("crops", "no folder is given") if order.folder is None else ("pictures", "rooms are not rendered")
    if idle in order.changes and order.changes[idle] != by_name[idle].value:
        raise SettingError(f"{idle} {order.changes[idle]} would change nothing: {why}. Leave it out.")
    return chosen


def as_begun(root: Path, order: Order, *, resume: bool) -> tuple[Order, DepthSettings]:
    """The order and its settings; of a run that goes on, those that it was begun with where nothing is said.

    Raises:
        RunError: other settings, pictures or unit than it was begun with.
        SettingError: see `settings_of`.
    """
    if not (resume and (root / RECORD).exists()):
        _check_unit(order)
        return order, settings_of(order)
    begun = read_run(root).record
    if order.folder is None and begun.folder != ROOMS:
        order = replace(order, folder=Path(begun.folder))
    _check_unit(order)
    if order.unit is None and order.per_metre is None:
        order = replace(order, unit=begun.unit, per_metre=begun.per_metre)  # type: ignore[arg-type]
    settings = settings_of(order, begun.settings)
    now = {leaf.path: leaf.value for leaf in leaves(settings)}
    for leaf in leaves(begun.settings):
        if leaf.value != now[leaf.path]:
            raise RunError(
                f"{root}: was begun with {leaf.path}={leaf.value}, not {now[leaf.path]}. Resume with the same options, "
                "or train into another folder."
            )
    return order, settings


def _check_unit(order: Order) -> None:
    """Refuse what is said of files where there are none."""
    said = {"--unit": order.unit, "--per-metre": order.per_metre}
    if order.folder is None and (given := [name for name, value in said.items() if value is not None]):
        raise SettingError(
            f"{given[0]} would change nothing: no folder is given, rooms have their depth. Leave it out."
        )


def start(root: Path, record: Record, *, resume: bool, overwrite: bool) -> DepthRun:
    """The run's folder with its record; `refuse_existing` has let it pass. A run that goes on keeps its own record.

    The folder is locked: another process may be at work there until then, and have begun or ended a run.

    Raises:
        RunError: the run that would go on is another one, or one has come since `refuse_existing` looked.
    """
    if not (resume or overwrite) and (root / RECORD).exists():
        raise RunError(f"{root}: another command has begun a run here meanwhile. --out takes another folder.")
    if resume and (root / RECORD).exists():
        run = read_run(root)
        _check_same(root, run.record, record)
        sweep(root)
        return run
    if overwrite and (root / RECORD).exists():
        for folder in (SAMPLES, SCORES):
            shutil.rmtree(root / folder, ignore_errors=True)
        own = (RECORD, DENOISER, HEADS, PRIOR, JUDGE, METRICS, READABLE, TABLE, SHEET, PICTURE, REPORT)
        for file in (*root.glob(f"{UNFINISHED}-*"), *(root / name for name in own)):
            file.unlink(missing_ok=True)
    run = write_run(root, record)
    sweep(root)
    return run


def _check_same(root: Path, begun: Record, now: Record) -> None:
    """Refuse a run that was begun with something else, by its name."""
    remedy = "Resume with the same data and options, or train into another folder."
    if (begun.folder == ROOMS) != (now.folder == ROOMS):
        raise RunError(f"{root}: was begun with {begun.folder}, not {now.folder}. {remedy}")
    check_prints(root, begun.prints, now.prints, remedy=remedy, one="file")
    for what in ("seed", "unit", "per_metre", "learnt", "labelled", "held_out", "z_min", "z_max"):
        a, b = getattr(begun, what), getattr(now, what)
        if a != b:
            told = f"other pictures ({what})" if isinstance(a, tuple) else f"{what} {a}, not {b}"
            raise RunError(f"{root}: was begun with {told}. {remedy}")
