"""How a pre-training on a folder begins: the folder, the plan where none is given, and the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.pretraining.folder import pretrain_folder
from hyperseg.recipes.pretraining.settings import FolderContrast
from hyperseg.recipes.pretraining.unfinished import Unfinished
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.planning import pointing_to_check, read_folder, read_plan
from hyperseg.recipes.segment.starting import plan_of


def pretrain(
    folder: str | Path | CaseFolder, out: str | Path, *, settings: FolderContrast | Mapping[str, Any] | None = None,
    plan: Plan | str | Path | None = None, fold: int | None = None, spacing: tuple[float, ...] = (),
    target: str | Sequence[str] = (), seed: int = 0, device: str = "auto", pictures: bool = True,
    resume: bool = False, overwrite: bool = False, quiet: bool = False,
) -> Path:  # fmt: skip
    """Learn weights from the images of a folder without their labels, into the file `out`.

    `segment.train(folder, run, weights=out)` goes on from them.

    Args:
        folder: images with and without labels.
        out: NAME.safetensors; NAME.png is drawn beside it.
        settings: how, see `FolderContrast`; or what differs from its defaults, by name: {"local": True}.
        plan: of this folder, or its file; left out, the one that `train` makes for as many minutes or steps.
        fold: leave out the cases that this fold of `train` with the same seed holds out; left out, none.
        spacing, target, seed, device: as of `train`.
        pictures: draw NAME.png.
        resume: go on with what was interrupted.
        overwrite: replace what is there.
        quiet: no progress.

    Raises:
        SettingError, RunError, SplitError, LabelError, SceneError, DataFileError: what cannot be done, before training.
    """
    file = Path(out)
    chosen = settings if isinstance(settings, FolderContrast) else changed(FolderContrast(), dict(settings or {}))
    there = Unfinished(file)
    root = folder.root if isinstance(folder, CaseFolder) else Path(folder)
    there.check([root], resume=resume, overwrite=overwrite)
    where = choose_device(device)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    cases = folder if isinstance(folder, CaseFolder) else read_folder(root, spacing, target, quiet=quiet)
    say(f"{cases.root}: {cases.layout}; {cases.rule}", quiet=quiet)
    made = read_plan(Path(plan)) if isinstance(plan, str | Path) else plan
    if made is None and resume:
        made = there.plan
    if made is None:
        budget = Budget(steps=chosen.steps) if chosen.steps else Budget(chosen.minutes)
        bar = counted_progress(f"Looking at {cases.root}", unit="cases", quiet=quiet)
        with pointing_to_check(cases.root), bar as progress:
            made = plan_of(cases, Path(), budget, device=runtime.device, progress=progress)
    try:
        return pretrain_folder(
            cases, made, chosen, runtime, file, fold=fold, resume=resume, overwrite=overwrite, pictures=pictures
        )
    except KeyboardInterrupt as stop:
        raise Interrupted(file) from stop
