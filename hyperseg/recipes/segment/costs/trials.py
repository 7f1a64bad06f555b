"""Trials of a planned network on this machine: cases prepared, steps trained, windows and whole cases predicted.

All by a clock without the time that other work had the processor; the fastest of a few where they repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.meter import quiet_clock
from hyperseg.engine.step.drawn import sent
from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.paths import split_key
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import StoredCase, draw_batch, make_batch, store
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare
from hyperseg.recipes.segment.choosing import case_dice
from hyperseg.recipes.segment.learning import TIMED, checked_patches
from hyperseg.recipes.segment.methods.answers import scores_of
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.predicting import predict_case
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.sliding import TOGETHER

LONG_S = 5.0  # a trial that would take longer is not repeated, and a whole batch is reckoned from one patch
MOST_CASES = 9  # that are tried, as many as fit into `LONG_S`, one at least


class Steps(NamedTuple):
    """Attributes: seconds of a step with the plan's batch; patches in the largest step that was tried."""

    seconds: float
    patches: int


def middling(folder: CaseFolder, most: int = MOST_CASES) -> list[Case]:
    """Labelled cases at even places of their order by the size of their files, the one in the middle first."""

    def size(case: Case) -> int:
        return sum(Path(split_key(file)[0]).stat().st_size for file in case.images)

    ranked = sorted(folder.cases, key=lambda case: (size(case), case.name))
    n = min(most, len(ranked))
    found = [ranked[(2 * i + 1) * len(ranked) // (2 * n)] for i in range(n)]
    return [found[n // 2], *found[: n // 2], *found[n // 2 + 1 :]]


def prepare_some(
    folder: CaseFolder, plan: Plan, one: Configuration, place: Path, most: int = MOST_CASES
) -> tuple[list[StoredCase], float]:  # fmt: skip
    """Some cases, and mean seconds of each."""
    began, found = quiet_clock(), []
    for i, case in enumerate(middling(folder, most)):
        made = prepare(read_case(folder, case), plan, one, labels=True)
        assert made.labels is not None
        at = place / f"case{min(i, 1)}"  # the first is learnt from, of the others none has to stay
        found.append(store(at, case.name, made.image, made.labels, len(plan.facts.classes)))
        if quiet_clock() - began > LONG_S:
            break
    return found, (quiet_clock() - began) / len(found)


def try_steps(
    net: nn.Module, method: CaseMethod, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime
) -> Steps:  # fmt: skip
    """One patch is tried first; where a batch would take long its time follows from that."""
    single = replace(one, batch=1)
    times = _steps(net, method, plan, single, stored, runtime, 1)
    if times[0] < LONG_S:
        times += _steps(net, method, plan, single, stored, runtime, 2)
    if one.batch == 1 or min(times) * one.batch > LONG_S:
        return Steps(min(times) * one.batch, 1)
    return Steps(min(_steps(net, method, plan, one, stored, runtime, TIMED - 1)), one.batch)


def _steps(
    net: nn.Module, method: CaseMethod, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime, n: int
) -> list[float]:  # fmt: skip
    """Seconds of each of `n` steps; the weights change."""
    times = [quiet_clock()]
    fit(
        method.lesson(net, plan, one, TIMED)[0],
        lambda step: draw_batch([stored], one, plan.training, seed=runtime.seed, step=step), n, modules={"net": net},
        seed=runtime.seed, make=partial(make_batch, configuration=one), device=runtime.device,
        precision=runtime.precision, report=lambda done, values: times.append(quiet_clock()), read_every=1,
        graphs=None,
    )  # fmt: skip
    return [float(seconds) for seconds in np.diff(times)]


def look_seconds(
    net: nn.Module, method: CaseMethod, plan: Plan, one: Configuration, stored: StoredCase, runtime: Runtime,
    patches: int,
) -> float:  # fmt: skip
    """Seconds of a patch, so many of them at a time, through the network as `learning.validation` does it."""
    drawn = checked_patches([stored], one, runtime.seed)[:patches]
    image, _ = make_batch(sent(drawn, torch.device(runtime.device)), one)
    answer = method.score([net.eval()], plan, mirror=False)

    def trial() -> float:
        began = quiet_clock()
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=runtime.precision == "bf16"):
            answer(image).argmax(1).cpu()
        return quiet_clock() - began

    return min(trial() for _ in range(TIMED - 1)) / len(drawn)


def window_seconds(net: nn.Module, method: CaseMethod, plan: Plan, one: Configuration, runtime: Runtime) -> float:
    """Seconds of a window in a group as large as groups are; of methods that answer a window often, of one alone."""
    device = torch.device(runtime.device)
    many = max(1, TOGETHER.get(device.type, TOGETHER["cpu"]) // prod(one.patch)) if method.on.samples is None else 1
    axes = len(plan.axes)
    size = one.patch if axes == one.n_axes else (1,) * (axes - one.n_axes) + one.patch
    # as many windows along the first axis as there are in a group
    first = many if axes > one.n_axes else size[0] + (many - 1) * (size[0] // 2)
    image = np.random.default_rng(runtime.seed).normal(size=(one.backbone.in_channels, first, *size[1:]))
    net.eval()

    def trial() -> float:
        began = quiet_clock()
        for part in scores_of(
            method, [net], image.astype(np.float32), one.patch, plan, mirror=False, seed=runtime.seed,
            device=device, cost=Cost(),
        ):  # fmt: skip
            part.cpu()
        return quiet_clock() - began

    times = [trial()]
    if times[0] < LONG_S:
        times += [trial(), trial()]
    return min(times) / many


class Nothing(nn.Module):
    """A network that says background everywhere, at once: what is left of a prediction's time is not the network's."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S)."""
        return x.new_zeros((len(x), self.n_classes, *x.shape[2:]))


def around_seconds(folder: CaseFolder, names: Sequence[str], plan: Plan, one: Configuration, device: str) -> float:
    """Mean of some cases."""
    n_classes = len(plan.facts.classes)
    name: str = one.name
    nothing = {name: [Nothing(n_classes)]}
    began = quiet_clock()
    for done, case in enumerate(names, start=1):  # noqa: B007
        scene = read_case(folder, folder.case(case))
        labels = predict_case(scene, plan, nothing, [name], mirror=False, device=device)
        case_dice(labels, np.asarray(scene.labels), n_classes)
        if quiet_clock() - began > LONG_S:
            break
    return (quiet_clock() - began) / done
