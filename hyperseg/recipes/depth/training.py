"""From rooms or a folder to a denoiser, two heads that read depth from it, and a prior of depth maps."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core.files import make_folder
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted
from hyperseg.dpm.guidance.prior import as_picture
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.stored import write_model
from hyperseg.dpm.tapped.learning import HeadSettings, train_heads
from hyperseg.dpm.training import DiffusionSettings, train_diffusion
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.write.runs import refuse_existing
from hyperseg.recipes.depth.folder import (
    DENOISER,
    HEADS,
    METRICS,
    PRIOR,
    READABLE,
    UNFINISHED,
    DepthRun,
    Record,
    add_metrics,
    new_heads,
    picture_spec,
    prior_spec,
    read_run,
    write_heads,
    write_run,
)
from hyperseg.recipes.depth.gathering import Data, check_counts, gather_folder, gather_rooms, whole_maps
from hyperseg.recipes.depth.reading.heads import depth_of, told, try_heads
from hyperseg.recipes.depth.reading.readable import draw_readable
from hyperseg.recipes.depth.settings import DepthSettings, NetworkSettings
from hyperseg.recipes.depth.starting import Order, as_begun, start

PREDICTED_AT = (0.2, 0.4)  # times at which the strong head reads what the prior learns from


def train_depth(
    root: Path, order: Order, runtime: Runtime, *, resume: bool = False, overwrite: bool = False
) -> DepthRun:
    """Train denoiser, heads and prior into a run folder, and try the heads on held-out pictures.

    Args:
        root: the run's folder.
        order: data, settings and steps.
        runtime: seed, device and progress.
        resume: go on with the run that is there: what is trained stays.
        overwrite: a run that is there is removed.

    Raises:
        RunError, SettingError, DataFileError: what cannot be done, before training.
        TrainingError: a loss that is not finite.
    """
    refuse_existing(root, read_run, resume=resume, overwrite=overwrite)
    order, settings = as_begun(root, order, resume=resume)
    new_heads(settings)  # or raise
    if order.folder is None:
        check_counts(settings)
        make_folder(root)  # rendering takes minutes
    data = _gathered(order, settings, runtime)
    for remark in data.remarks:
        say(remark, quiet=runtime.quiet)
    if settings.prior.steps and settings.prior.learns != "predicted":
        _maps(data, settings)  # or raise
    settings = replace(settings, labelled=len(data.labelled) or settings.labelled)
    record = Record(
        order.data, runtime.seed, settings, order.unit or "auto", order.per_metre, data.bounds.z_min, data.bounds.z_max,
        data.learnt, data.labelled, data.held_out, data.prints, _versions(), {"unit": data.unit},
    )  # fmt: skip
    make_folder(root)
    lock = take(root)
    try:
        run = start(root, record, resume=resume, overwrite=overwrite)
        own = replace(runtime, checkpoints=root / UNFINISHED)
        for name, stage in ((DENOISER, _denoiser), (HEADS, _heads), (PRIOR, _prior)):
            if not run.has(name) and (name != PRIOR or settings.prior.steps):
                began = time.perf_counter()
                stage(run, data, own)
                part = name.partition(".")[0]
                run = _noted(run, {part: {"seconds": time.perf_counter() - began}})
        for file in root.glob(f"{UNFINISHED}-*"):
            file.unlink(missing_ok=True)
        run = _tried(run, data, runtime)
    finally:
        lock.release()
    return read_run(root)


def _gathered(order: Order, settings: DepthSettings, runtime: Runtime) -> Data:
    if order.folder is not None:
        return gather_folder(
            order.folder, settings, runtime.seed, unit=order.unit or "auto", per_metre=order.per_metre,
            asked=order.changes.get("labelled"),
        )  # fmt: skip
    with counted_progress("Rendering rooms", unit="pictures", quiet=runtime.quiet) as progress:
        return gather_rooms(settings, runtime.seed, progress)


def _learning(of: NetworkSettings) -> DiffusionSettings:
    """How a network of pictures or of depth maps is trained: in the schedule of DDPM, and data lie in [-1, 1]."""
    return DiffusionSettings(
        objective=of.objective, schedule=SCHEDULES.default, steps=of.steps, batch=of.batch, lr=of.lr, ema=of.ema,
        clip=1.0, keep_raw=False,
    )  # fmt: skip


def _denoiser(run: DepthRun, data: Data, runtime: Runtime) -> None:
    settings = run.record.settings
    model = train_diffusion(
        torch.from_numpy(data.images), picture_spec(settings), _learning(settings.denoiser), runtime, name="denoiser",
        title=f"denoiser of {counted(len(data.images), 'picture')}",
    )  # fmt: skip
    write_model(run.root / DENOISER, model)


def _heads(run: DepthRun, data: Data, runtime: Runtime) -> None:
    of = run.record.settings.heads
    strong, weak = new_heads(run.record.settings, runtime.seed)
    labelled = torch.from_numpy(data.images[: len(data.y)])
    train_heads(
        run.model(), {"strong": strong, "weak": weak}, labelled, torch.from_numpy(data.y),
        HeadSettings(steps=of.steps, batch=of.batch, lr=of.lr), replace(runtime, precision="fp32"), latest=of.latest,
        title=f"heads on {counted(len(labelled), 'labelled picture')}",
    )  # fmt: skip
    write_heads(run, strong, weak)


def _prior(run: DepthRun, data: Data, runtime: Runtime) -> None:
    settings = run.record.settings
    match settings.prior.learns:
        case "known" | "labelled":
            maps = _maps(data, settings)
        case "predicted":
            images = torch.from_numpy(data.images).to(runtime.device)
            model, head = run.model().to(runtime.device), run.heads()[0].to(runtime.device)
            with counted_progress("Reading depth of all pictures", unit="passes", quiet=runtime.quiet) as progress:
                maps = depth_of(
                    model, head, images, times=PREDICTED_AT, draws=1, seed=runtime.seed, progress=progress
                ).y
        case _:
            raise AssertionError(settings.prior.learns)
    prior = train_diffusion(
        as_picture(torch.from_numpy(maps)[:, None], settings.prior.shrink), prior_spec(settings),
        _learning(settings.prior), runtime, name="prior", title=f"prior of {counted(len(maps), 'depth map')}",
    )  # fmt: skip
    write_model(run.root / PRIOR, prior)


def _maps(data: Data, settings: DepthSettings) -> Any:
    """(m, s, s) depth maps that the prior learns from where none are predicted.

    Raises:
        DataFileError: there are none.
    """
    some = settings.prior.learns == "labelled"
    return whole_maps(data.y if some else np.concatenate([data.y, data.more_y]))


def _tried(run: DepthRun, data: Data, runtime: Runtime) -> DepthRun:
    """The heads on held-out pictures: metrics.json, readable.png, and the line of it in the record."""
    strong, weak = (head.to(runtime.device) for head in run.heads())
    held = torch.from_numpy(data.held_images).to(runtime.device)
    scale = None if data.unit == "disparity" else data.bounds
    with counted_progress("Reading depth of held-out pictures", unit="times", quiet=runtime.quiet) as progress:
        tried, said = try_heads(
            run.model().to(runtime.device), (strong, weak), held, data.held_y, _median(data.y), scale,
            seed=runtime.seed, progress=progress,
        )  # fmt: skip
    line = told(tried)
    numbers: dict[str, Any] = {"held_out": len(held), "unit": data.unit, "told": line, **tried._asdict()}
    add_metrics(run.root / METRICS, settings=to_json(run.record.settings), heads=numbers)
    draw_readable(run.root / READABLE, tried, data.held_images, data.held_y, said)
    return _noted(run, {"heads": {**run.record.found.get("heads", {}), **numbers}})


def _median(y: NDArray[np.float32]) -> NDArray[np.float32]:
    """(s, s) median of depth maps over those that know a pixel; NaN where none does."""
    known = np.isfinite(y).any(0)
    found = np.full(y.shape[1:], np.nan, np.float32)
    found[known] = np.nanmedian(y[:, known], 0)
    return found


def _noted(run: DepthRun, found: dict[str, Any]) -> DepthRun:
    return write_run(run.root, replace(run.record, found={**run.record.found, **found}))


def _versions() -> dict[str, str]:
    from hyperseg.recipes.run.outputs import versions

    return versions()
