"""From a folder of images or volumes to weights that were learnt without labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperseg.backbone import seeded
from hyperseg.backbone.pretrained import load_pretrained, read_pretrained, save_pretrained
from hyperseg.contrast.pairs import Pairs
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, duration, percent
from hyperseg.engine.progress import counted_progress, say
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.io.write import replacing
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.pretraining.batches import batches_of
from hyperseg.recipes.pretraining.choosing import cases_of, pairs_of
from hyperseg.recipes.pretraining.settings import FolderContrast
from hyperseg.recipes.pretraining.slices import Slices, prepare_slices
from hyperseg.recipes.pretraining.stages import (
    FEWEST_STEPS,
    GLOBAL,
    LOCAL,
    TERM,
    Stage,
    finest_level,
    global_stage,
    learn,
    local_stage,
    time_steps,
)
from hyperseg.recipes.pretraining.telling import NAME, about_of
from hyperseg.recipes.pretraining.unfinished import BETWEEN, CACHE, STATE, Unfinished
from hyperseg.recipes.segment.checks import check_plan
from hyperseg.recipes.segment.resuming.files import image_prints

log = logging.getLogger(__name__)

SOLVED = 0.05  # of what the loss is where all is equal


@dataclass(frozen=True)
class Work:
    """What is learnt from, and how: everything that is decided before the first step."""

    plan: Plan
    configuration: Configuration
    slices: Slices
    pairs: Pairs
    chosen: FolderContrast
    finest: int | None
    runtime: Runtime

    @property
    def parts(self) -> int | None:
        """Partitions of a volume, where all have as many slices."""
        return self.chosen.parts if len(self.plan.axes) == 3 and min(self.slices.counts) >= self.chosen.parts else None

    @property
    def stages(self) -> tuple[str, ...]:
        return (GLOBAL,) if self.finest is None else (GLOBAL, LOCAL)


def pretrain_folder(
    folder: CaseFolder, plan: Plan, chosen: FolderContrast, runtime: Runtime, out: Path, *, fold: int | None = None,
    resume: bool = False, overwrite: bool = False, pictures: bool = True,
) -> Path:  # fmt: skip
    """Learn weights for the network of two axes of a plan, without labels.

    Images with and without labels are learnt from; those that are held back for scores are not. Labels are not read
    (those of all cases had a part in the plan, as numbers of classes and of a CT's values).

    Args:
        folder: as `open_cases` gives it.
        plan: of this folder.
        chosen: how.
        runtime: seed, device and progress.
        out: the file of weights; a picture, of the same name, and what is unfinished lie beside it.
        fold: leave out the cases that this fold of `hyperseg segment train` with the same seed holds out.
        resume: go on with what is unfinished.
        overwrite: a file that is there is replaced, unfinished work removed.
        pictures: draw FILE.png.

    Returns:
        `out`.

    Raises:
        SettingError, RunError, SceneError, DataFileError: what cannot be done, before training.
    """
    there = Unfinished(out)
    there.check([folder.root], resume=resume, overwrite=overwrite)
    check_plan(plan, folder)
    configuration = plan.configuration(NAME)
    cases = cases_of(folder, plan, fold, runtime.seed)
    pairs = pairs_of(chosen, len(plan.axes), len(cases))
    finest = finest_level(configuration.backbone, configuration.patch, chosen.levels) if chosen.local else None
    what = {
        "settings": to_json(chosen), "seed": runtime.seed, "fold": fold, "plan": to_json(plan),
        "images": image_prints(folder, cases, quiet=runtime.quiet),
    }  # fmt: skip
    with there.begin(what, resume=resume) as begun:
        slices = _prepared(folder, cases, plan, configuration, pairs, chosen, there, quiet=runtime.quiet)
        work = Work(
            plan, configuration, slices, pairs, chosen, finest, replace(runtime, checkpoints=there.root / STATE)
        )
        _run(work, there, begun, folder, pictures=pictures)
    there.end()
    return out


def _prepared(
    folder: CaseFolder, cases: Sequence[Case], plan: Plan, configuration: Configuration, pairs: Pairs,
    chosen: FolderContrast, there: Unfinished, *, quiet: bool,
) -> Slices:  # fmt: skip
    def check(name: str, n: int) -> None:
        if pairs != "gr" and n < chosen.parts:
            raise SettingError(
                f"{name}: has {counted(n, 'slice')}, and a volume is cut into {chosen.parts} partitions. Take --set "
                f"parts={max(n, 2)}, or --pairs gr, or move the volume away."
            )

    with counted_progress("Preparing slices", unit="cases", quiet=quiet) as progress:
        slices = prepare_slices(
            folder, cases, plan, configuration, there.root / CACHE, check=check, progress=progress
        )  # fmt: skip
    total, quite = sum(slices.counts), "" if pairs == "gr" else f" in {chosen.parts} partitions"
    if total < 2:
        raise SettingError(f"{folder.root}: a single slice has nothing to be compared with: give more images.")
    say(
        f"{folder.root}: {counted(total, 'slice')} of {counted(len(cases), 'image')}{quite}, pairs {pairs}; labels are "
        "not read",
        quiet=quiet,
    )
    return slices


def _run(work: Work, there: Unfinished, begun: dict[str, Any], folder: CaseFolder, *, pictures: bool) -> None:
    runtime = work.runtime
    net = start(work)
    batches = batches_of(work.slices, work.pairs, work.chosen, runtime.seed)
    steps = begun.get("steps")
    if steps is None:
        steps = _forecast(work, batches)
        there.note(begun | {"steps": steps})
    first = look_at(net, work) if pictures else None
    curves = {}
    between = there.root / BETWEEN
    stage = _global(net, work, batches)
    if between.exists():
        known = read_pretrained(between)
        load_pretrained(known, net)
        curves[GLOBAL] = known.about["losses"]
    else:
        curves[GLOBAL] = _learnt(stage, work, batches, steps[GLOBAL])
        save_pretrained(between, net, ["encoder"], {"losses": curves[GLOBAL]})
    values, parts = {GLOBAL: stage.watcher.value}, ["encoder"]
    if work.finest is not None:
        net.encoder.eval()
        local = local_stage(net, work.configuration.backbone, work.finest, work.chosen, runtime.seed)
        curves[LOCAL] = _learnt(local, work, batches, steps[LOCAL])
        values[LOCAL] = local.watcher.value
        parts += [
            f"decoder.merges.{level}" for level in range(work.finest, len(work.configuration.backbone.widths) - 1)
        ]
    about = about_of(folder, begun, stages=work.stages, pairs=work.pairs, steps=steps)
    if first is not None:
        _draw(net, work, there, first, {name: (curves[name], values[name]) for name in curves})
    save_pretrained(there.out, net, parts, about)


def start(work: Work) -> Any:
    """The network before its first step: the one that `hyperseg segment train` begins with."""
    with seeded(work.runtime.seed):
        return build_unet(work.configuration, len(work.plan.facts.classes)).to(work.runtime.device)


def look_at(net: Any, work: Work) -> Any:
    from hyperseg.recipes.pretraining.picture import look

    return look(net.encoder, work.slices, work.parts, work.runtime.device)


def _global(net: Any, work: Work, batches: Any) -> Stage:
    drawn = batches(0)
    first = drawn._replace(images=drawn.images[:1].to(work.runtime.device))
    return global_stage(net, work.configuration.backbone, work.pairs, work.chosen, first, work.runtime.seed)


def _forecast(work: Work, batches: Any) -> dict[str, int]:
    """Steps of each stage; what they will take is said."""
    chosen, quiet, found, told = work.chosen, work.runtime.quiet, {}, []
    if chosen.steps and quiet:
        return dict.fromkeys(work.stages, chosen.steps)
    seconds = 60 * chosen.minutes / len(work.stages)
    for name in work.stages:
        net = start(work)
        stage = _global(net, work, batches)
        if name == LOCAL:
            assert work.finest is not None
            stage = local_stage(net, work.configuration.backbone, work.finest, chosen, work.runtime.seed)
        step = time_steps(stage, batches, work.runtime)
        found[name] = chosen.steps or max(FEWEST_STEPS, int(seconds / step))
        told.append(f"{counted(found[name], 'step')} {name} in about {duration(found[name] * step)}")
    say(f"expected: {', then '.join(told)}", quiet=quiet)
    return found


def _learnt(stage: Stage, work: Work, batches: Any, steps: int) -> list[float]:
    """Train a stage; its losses."""
    title = f"{work.configuration.name}, {stage.name} contrast"
    history = learn(stage, batches, steps, work.chosen, work.runtime, title=title, warn=log.warning)
    losses = [float(value) for value in history.terms[TERM]]
    tail, equal = losses[-max(1, len(losses) // 10) :], stage.watcher.value
    last = sum(tail) / len(tail)
    solved = "; the task is all but solved, more steps would teach little" if last < SOLVED * equal else ""
    say(
        f"{title}: loss {losses[0]:.3f} at first, {last:.3f} in the last tenth ({equal:.3f} where all is equal) after "
        f"{duration(history.seconds)}{solved}",
        quiet=work.runtime.quiet,
    )
    return losses


def _draw(net: Any, work: Work, there: Unfinished, first: Any, losses: Any) -> None:
    from hyperseg.recipes.pretraining.picture import figure

    after = look_at(net, work)
    if after.alike is not None:
        say(
            f"of a slice the nearest one of another patient is of the same partition: {percent(100 * first.alike)} "
            f"before, {percent(100 * after.alike)} after (chance {percent(100 * after.chance)})",
            quiet=work.runtime.quiet,
        )
    with replacing(there.picture) as temporary:
        temporary.write_bytes(figure(first, after, losses))
