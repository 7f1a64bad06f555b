"""Pictures with depth, from Python: train, read, sample and score, as `hyperseg depth` does with them.

from hyperseg import depth

run = depth.train(None, "rooms-run", steps=1500)
print(run.record.found["heads"]["told"])
maps = depth.read(run, "picture.png", out="read")
print(depth.sample(run, 16, settings=depth.SampleSettings(guidance="dcg")).told)
scored = depth.score(run, seeds=2, number=100)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.engine.progress import counted_progress
from hyperseg.io.depths import Unit
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.depth.drawing import Sampled, SampleOrder, sample_pictures
from hyperseg.recipes.depth.folder import DepthRun, read_run
from hyperseg.recipes.depth.judge_training import JudgeSettings
from hyperseg.recipes.depth.reading.heads import DRAWS, READ_AT
from hyperseg.recipes.depth.reading.predicting import DepthMap, predict_depth
from hyperseg.recipes.depth.scores.scoring import Scored, ScoreOrder, score_guidance
from hyperseg.recipes.depth.settings import SampleSettings
from hyperseg.recipes.depth.starting import Order
from hyperseg.recipes.depth.training import train_depth
from hyperseg.recipes.run.folder import Interrupted

__all__ = [
    "DepthMap", "DepthRun", "SampleSettings", "Sampled", "Scored", "read", "read_run", "sample", "score", "train",
]  # fmt: skip


def train(
    folder: str | Path | None, out: str | Path, *, settings: Mapping[str, Any] | None = None, steps: int | None = None,
    unit: Unit | None = None, per_metre: float | None = None, seed: int | None = None, device: str = "auto",
    resume: bool = False, overwrite: bool = False, quiet: bool = False,
) -> DepthRun:  # fmt: skip
    """Train a denoiser of pictures, two heads that read depth from it, and a prior of depth maps.

    Args:
        folder: pictures, some with depth; None for rooms that are rendered.
        out: the run's folder.
        settings: by name, see `DepthSettings`: {"size": 64, "denoiser.width": 32}; the end of a name is enough.
        steps: of the denoiser; heads and prior take a third of them each.
        unit: of the depth in the folder's files; judged where nothing is said.
        per_metre: how many of their numbers are one metre, in place of a unit.
        seed: of pictures, weights and noise; 0, or as the run was begun.
        device: see `choose_device`.
        resume: go on with the run that is there.
        overwrite: remove the run that is there.
        quiet: no progress.

    Raises:
        SettingError, RunError, DataFileError: what cannot be done, before training.
    """
    root = Path(out)
    if seed is None:
        seed = read_run(root).record.seed if resume and (root / RECORD).is_file() else 0
    order = Order(None if folder is None else Path(folder), settings or {}, steps, unit, per_metre)
    where = choose_device(device)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    try:
        return train_depth(root, order, runtime, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as stop:
        raise Interrupted(root) from stop


def read(
    run: str | Path | DepthRun, *pictures: str | Path, out: str | Path, times: Sequence[float] | None = None,
    draws: int = DRAWS, weak: bool = False, seed: int = 0, device: str = "auto", quiet: bool = False,
) -> tuple[DepthMap, ...]:  # fmt: skip
    """Read the depth of pictures out of a trained denoiser; see `predict_depth`."""
    root = _root(run)
    with counted_progress("Reading depth", unit="pictures", quiet=quiet) as progress:
        return predict_depth(
            root, [Path(p) for p in pictures], Path(out), times=READ_AT if times is None else times, draws=draws,
            weak=weak, seed=seed, device=str(choose_device(device)), progress=progress,
        )  # fmt: skip


def sample(
    run: str | Path | DepthRun, number: int = 16, *, out: str | Path | None = None, seed: int = 0,
    settings: SampleSettings | None = None, beside: bool = False, device: str = "auto", resume: bool = False,
    overwrite: bool = False, quiet: bool = False,
) -> Sampled:  # fmt: skip
    """Draw pictures with a trained run, guided by their own depth; see `sample_pictures`.

    Args:
        run: the run, or its folder.
        number: of pictures.
        out: folder of the results; RUN/samples by default.
        seed: of the noise.
        settings: sampler and guidance.
        beside: draw the same pictures without guidance too.
        device: see `choose_device`.
        resume: go on with samples that an interrupted call left.
        overwrite: replace samples of this guidance and seed.
        quiet: no progress.

    Raises:
        SettingError, RunError: what cannot be done, before anything is drawn.
        TrainingError: samples that are not finite; what was drawn before is kept.
    """
    order = SampleOrder(
        _root(run), None if out is None else Path(out), number, seed, settings or SampleSettings(), beside
    )  # fmt: skip
    runtime = Runtime(seed, str(choose_device(device)), quiet=quiet)
    try:
        return sample_pictures(order, runtime, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as stop:
        raise Interrupted(order.folder) from stop


def score(
    run: str | Path | DepthRun, *, seeds: int = 5, number: int = 500, rows: Sequence[str] = (),
    out: str | Path | None = None, settings: SampleSettings | None = None, judge: Mapping[str, Any] | None = None,
    device: str = "auto", resume: bool = False, overwrite: bool = False, quiet: bool = False,
) -> Scored:  # fmt: skip
    """Compare guidance with none, from the same noise, over several seeds; see `score_guidance`.

    Args:
        run: the run, or its folder.
        seeds: of noise.
        number: of pictures of each row and seed.
        rows: what guides, beside none; all that the run can do by default.
        out: folder of the results; the run's by default.
        settings: sampler and weights; its guidance is not looked at.
        judge: settings of the judge's training by name, where there is none yet, see `JudgeSettings`.
        device: see `choose_device`.
        resume: go on with scores that are there, or add rows and seeds.
        overwrite: remove scores that are there.
        quiet: no progress.

    Raises:
        SettingError, RunError: what cannot be done; a judge that is not good enough to judge.
    """
    order = ScoreOrder(
        _root(run), None if out is None else Path(out), tuple(rows), seeds, number, settings or SampleSettings(),
        changed(JudgeSettings(), judge or {}),
    )  # fmt: skip
    runtime = Runtime(0, str(choose_device(device)), quiet=quiet)
    return score_guidance(order, runtime, resume=resume, overwrite=overwrite)


def _root(run: str | Path | DepthRun) -> Path:
    return run.root if isinstance(run, DepthRun) else Path(run)
