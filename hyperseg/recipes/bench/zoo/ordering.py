"""What is to be measured, and everything that speaks against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, Scene, SettingError
from hyperseg.core.runtime import check_minutes
from hyperseg.core.settings import changed
from hyperseg.recipes.bench.cases import is_folder
from hyperseg.recipes.bench.comparing.begun import Begun, refuse_foreign, refuse_other_place
from hyperseg.recipes.bench.folder import there
from hyperseg.recipes.bench.settings import refuse_other
from hyperseg.recipes.bench.zoo.choosing import ALL, check_names
from hyperseg.recipes.bench.zoo.folder import KEPT
from hyperseg.recipes.bench.zoo.preparing import Prepared, prepare_folder, prepare_scene
from hyperseg.recipes.bench.zoo.settings import (
    MINUTES,
    OF_FOLDERS,
    OF_SCENES,
    SEEDS_OF_FOLDERS,
    SEEDS_OF_SCENES,
    ZooBenchSettings,
)


@dataclass(frozen=True)
class Order:
    """What was checked before any work.

    Attributes:
        minutes: that all may take where the steps follow from them; None where steps are given or known.
        most_steps: of a training that is fitted to the minutes; None leaves it to the minutes alone.
    """

    root: Path
    made: Prepared
    begun: Begun
    minutes: float | None
    most_steps: int | None
    jobs: int
    overwrite: bool
    quiet: bool


def check_order(
    target: str | Path | Scene, *, out: str | Path | None, members: Sequence[str] | None, seeds: int | None,
    minutes: float | None, labels: str | None, folder: Path | None, given: Mapping[str, Any], jobs: int, device: str,
    resume: bool, overwrite: bool, quiet: bool,
) -> Order:  # fmt: skip
    """Everything that can be refused is refused here; nothing is written. See `bench_zoo`."""
    from hyperseg.engine.device import choose_device
    from hyperseg.recipes.run.outputs import versions

    asked = check_names(members or ())
    on_scene = isinstance(target, Scene) or not is_folder(target)
    refuse_foreign(given, scene=on_scene, of_folders=OF_FOLDERS, of_scenes=OF_SCENES)
    check_given(seeds, minutes, given)
    named = target.name if isinstance(target, Scene) else Path(str(target)).resolve().name.partition(":")[0]
    root = Path("runs") / f"zoo-{named}" if out is None else Path(out)
    begun = there(root, KEPT.read, resume=resume, overwrite=overwrite)
    settings = changed(ZooBenchSettings() if begun is None else begun.settings, dict(given))
    if begun is not None and begun.settings.steps:  # else it ended before its steps were chosen
        refuse_other(begun.settings, settings, root)
        if minutes is not None:
            raise RunError(f"{root}: this benchmark has its steps already. Leave --minutes out, or take another --out.")
    asked = tuple(dict.fromkeys((*(begun.asked if begun else ()), *asked))) or (ALL,)
    usual = SEEDS_OF_SCENES if on_scene else SEEDS_OF_FOLDERS
    seeds = (seeds or usual) if begun is None else max(seeds or 0, begun.seeds)
    where = str(choose_device(device))
    if on_scene:
        scene = target if isinstance(target, Scene) else str(target)
        made = prepare_scene(scene, settings, asked, labels=labels, folder=folder, splits=seeds, device=where)
    else:
        if labels is not None:
            raise SettingError("--labels is of scenes, and this is a folder of images or volumes: leave it out.")
        made = prepare_folder(
            Path(str(target)), settings, asked, root, begun=begun, jobs=jobs, device=where, quiet=quiet
        )
    if begun is not None:
        refuse_other_place(root, begun, made.data, where)
    found = {
        "versions": {**versions(), "threads": "1"}, "device": where.partition(":")[0], "jobs": jobs,
        "reference": made.reference, "left_out": list(made.left_out), "lead": made.lead,
        "seconds": 0.0 if begun is None else begun.found.get("seconds", 0.0),
    }  # fmt: skip
    now = Begun(settings, made.data, asked, seeds, made.plan, found)
    fitted = None if settings.steps else minutes or MINUTES
    return Order(root, made, now, fitted, made.most_steps if minutes is None else None, jobs, overwrite, quiet)


def check_given(seeds: int | None, minutes: float | None, given: Mapping[str, Any]) -> None:
    """Refuse numbers that make no sense, before anything is read.

    Raises:
        SettingError: naming the option.
    """
    if seeds is not None and seeds < 1:
        raise SettingError(f"--seeds is a whole number from 1, got {seeds}.")
    check_minutes(minutes)
    if minutes is not None and given.get("steps"):
        raise SettingError("--minutes chooses the steps: leave out --steps.")
