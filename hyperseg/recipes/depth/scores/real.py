"""Real pictures for scores: those that a judge learns from, and those that samples are compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import counted
from hyperseg.recipes.depth.folder import JUDGE, ROOMS, UNFINISHED, DepthRun
from hyperseg.recipes.depth.judge_training import JudgeSettings, NoJudge, judge_of_rooms, train_judge
from hyperseg.recipes.depth.judging import SIDE, DepthJudge, read_judge
from hyperseg.recipes.depth.pictures import from_rooms
from hyperseg.recipes.depth.recutting import pairs_of, squares
from hyperseg.recipes.depth.scores.measuring import Pictures

REAL_APART = 3_000_017  # what is added to a run's seed for the rooms that samples are compared with
FEWEST = 32  # squares with depth that a judge of a folder learns from and is measured on
TAUGHT = 0.6  # of them it learns from


def real_pictures(run: DepthRun, n: int, sets: int) -> Pictures:
    """Sets of n real pictures that neither heads nor judge have learnt from; 0 is what samples are compared with.

    Args:
        sets: how many there are besides set 0; of a folder they are drawn from what is left, and may overlap.

    Raises:
        RunError: a folder with fewer than 2 n such pictures.
    """
    size, seed = run.record.settings.size, run.record.seed + REAL_APART
    if run.record.folder == ROOMS:

        def rendered(k: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            found = from_rooms(n, size, seed, first=k * n)
            return found.images, found.y

        return rendered
    check_enough(run, n)
    found = squares(run, without=_taught(run)[0])
    x, y = found.images, found.y
    order = np.random.default_rng(seed).permutation(len(x))

    def chosen(k: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rest = np.random.default_rng([seed, k]).permutation(order[n:])
        which = order[:n] if k == 0 else rest[:n]
        return x[which], y[which]

    return chosen


def check_enough(run: DepthRun, n: int) -> None:
    """Refuse more samples than a folder has pictures to compare with, before the judge is trained.

    Raises:
        RunError: a folder with fewer than 2 n squares that the judge does not learn from.
    """
    if run.record.folder == ROOMS:
        return
    many = (len(pairs_of(run).names) - len(_taught(run)[0])) * run.record.settings.crops
    if many < 2 * n:
        raise RunError(
            f"{run.record.folder}: gives {counted(many, 'picture')} that the judge has not seen, and -n {n} needs "
            f"{2 * n}: as many as samples to compare with, and as many again for the floor. Give -n {many // 2} or "
            "less, or train with more --crops."
        )


def judge_for(run: DepthRun, settings: JudgeSettings, runtime: Runtime) -> DepthJudge:
    """The judge of a run: trained once, on pictures whose depth no head was told, and kept in its folder.

    Raises:
        RunError: a folder with too few such pictures, or a judge that is not good enough to judge.
    """
    file = run.root / JUDGE
    if file.is_file():
        judge = read_judge(file, device=runtime.device)
        if judge.delta1 < settings.least:
            raise RunError(
                f"{file}: this judge reached delta1 = {judge.delta1:.3f} on held-out pictures, below "
                f"{settings.least:g}: it does not judge. Remove the file, so that it is trained anew."
            )
        return judge
    try:
        judge = _trained(run, settings, replace(runtime, checkpoints=run.root / UNFINISHED))
    except NoJudge:  # its training has ended: one with other settings begins anew
        _sweep(run)
        raise
    judge.write(file)
    _sweep(run)
    return judge


def _trained(run: DepthRun, settings: JudgeSettings, runtime: Runtime) -> DepthJudge:
    if run.record.folder == ROOMS:
        return judge_of_rooms(run.record.settings.size, settings, runtime)
    teach, test = _taught(run)
    some, held = squares(run, only=teach), squares(run, only=test)
    return train_judge(some.images, some.y, held.images, held.y, some.bounds, settings, runtime)


def _sweep(run: DepthRun) -> None:
    for left in run.root.glob(f"{UNFINISHED}-judge*"):
        left.unlink(missing_ok=True)


def check_judge(run: DepthRun, settings: JudgeSettings) -> None:
    """Refuse a run for which no judge can be trained, or one that is told what it does not look at, before long work.

    Raises:
        RunError: too few pictures, or too small ones.
        SettingError: rooms to learn from, where there are pictures.
    """
    if (run.root / JUDGE).is_file():
        return
    if run.record.settings.size < SIDE:
        raise RunError(
            f"{run.root}: its pictures have {run.record.settings.size} pixels along a side, and depth is judged in "
            f"{SIDE}x{SIDE} parts. Train with --size {SIDE} or more."
        )
    if run.record.folder != ROOMS:
        if settings.pictures != JudgeSettings().pictures:
            raise SettingError(
                "--judge-pictures would change nothing: the judge of a folder learns from its pictures. Leave it out."
            )
        _taught(run)


def _taught(run: DepthRun) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the pictures that a judge learns from, and is measured on: those whose depth no head was told."""
    pairs = pairs_of(run)
    unseen = [name for name in pairs.names[: len(pairs)] if name not in run.record.labelled]
    crops = run.record.settings.crops
    if len(unseen) < 2 or len(unseen) * crops < FEWEST:
        raise RunError(
            f"{run.record.folder}: the heads were not told the depth of {counted(len(unseen), 'picture')} "
            f"({counted(len(unseen) * crops, 'square')}); a judge needs {FEWEST} squares of 2 pictures or more. Train "
            "with fewer --labelled or more --crops, or add pictures with depth."
        )
    order = np.random.default_rng(run.record.seed + REAL_APART).permutation(len(unseen))
    many = min(max(round(TAUGHT * len(unseen)), 1), len(unseen) - 1)
    return frozenset(unseen[i] for i in order[:many]), frozenset(unseen[i] for i in order[many:])
