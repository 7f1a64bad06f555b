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
from hyperseg.recipes.bench.tricks.folder import KEPT
from hyperseg.recipes.bench.tricks.preparing import Prepared, prepare_folder, prepare_scene
from hyperseg.recipes.bench.tricks.rows import ALL, check_spelling
from hyperseg.recipes.bench.tricks.settings import (
    MINUTES,
    OF_FOLDERS,
    OF_SCENES,
    SEEDS_OF_FOLDERS,
    SEEDS_OF_SCENES,
    TricksSettings,
)


@dataclass(frozen=True)
class Order:
    """What was checked before any work; `minutes` is None where the steps are given, or of a scene."""

    root: Path
    made: Prepared
    begun: Begun
    minutes: float | None
    jobs: int
    overwrite: bool
    quiet: bool


def check_order(
    target: str | Path | Scene, *, out: str | Path | None, tricks: Sequence[str] | None, seeds: int | None,
    minutes: float | None, plan: Path | None, labels: str | None, folder: Path | None, given: Mapping[str, Any],
    jobs: int, device: str, resume: bool, overwrite: bool, quiet: bool,
) -> Order:  # fmt: skip
    """Everything that can be refused is refused here; nothing is written. See `bench_tricks`."""
    from hyperseg.engine.device import choose_device
    from hyperseg.recipes.run.outputs import versions

    asked = check_spelling(tricks or ())
    on_scene = isinstance(target, Scene) or not is_folder(target)
    refuse_foreign(
        {**given, "plan": plan, "minutes": minutes}, scene=on_scene, of_folders=OF_FOLDERS, of_scenes=OF_SCENES
    )
    if seeds is not None and seeds < 2:
        raise SettingError(f"--seeds {seeds}: 2 or more are needed to see what seeds alone change.")
    if minutes is not None and minutes <= 0:
        raise SettingError(f"--minutes is a number above 0, got {minutes}.")
    if minutes is not None and given.get("steps"):
        raise SettingError("--minutes chooses the steps: leave out --steps.")
    named = target.name if isinstance(target, Scene) else Path(str(target)).resolve().name.partition(":")[0]
    root = Path("runs") / f"tricks-{named}" if out is None else Path(out)
    begun = there(root, KEPT.read, resume=resume, overwrite=overwrite)
    check_minutes(minutes)
    settings = changed(TricksSettings() if begun is None else begun.settings, dict(given))
    if begun is not None:
        refuse_other(begun.settings, settings, root)
        if minutes not in (None, begun.found.get("minutes")):
            raise RunError(f"{root}: this benchmark has its steps already. Leave --minutes out, or take another --out.")
    asked = tuple(dict.fromkeys((*(begun.asked if begun else ()), *asked))) or (ALL,)
    usual = SEEDS_OF_SCENES if on_scene else SEEDS_OF_FOLDERS
    seeds = (seeds or usual) if begun is None else max(seeds or 0, begun.seeds)
    where = str(choose_device(device))
    of_all = minutes or (begun.found.get("minutes") if begun else None) or (None if settings.steps else MINUTES)
    if on_scene:
        scene = target if isinstance(target, Scene) else str(target)
        made = prepare_scene(scene, settings, asked, labels=labels, folder=folder, splits=seeds, device=where)
        of_all = None
    else:
        if labels is not None:
            raise SettingError("--labels is of scenes, and this is a folder of images or volumes: leave it out.")
        made = prepare_folder(
            Path(str(target)), settings, asked, root, begun=begun, plan_file=plan, seeds=seeds,
            minutes=of_all or MINUTES, jobs=jobs, device=where, quiet=quiet,
        )  # fmt: skip
    if begun is not None:
        refuse_other_place(root, begun, made.data, where)
    found = {
        "versions": {**versions(), "threads": "1"}, "device": where.partition(":")[0], "minutes": of_all,
        "configuration": made.configuration, "left_out": list(made.left_out), "lead": made.lead,
        "seconds": 0.0 if begun is None else begun.found.get("seconds", 0.0),
    }  # fmt: skip
    now = Begun(settings, made.data, asked, seeds, made.plan, found)
    return Order(root, made, now, None if settings.steps else of_all, jobs, overwrite, quiet)
