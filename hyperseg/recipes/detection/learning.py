"""One detector, trained by its settings on prepared volumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.backbone.conv import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.detection.batch import Batch, draw_batch
from hyperseg.detection.lesson import NETWORK, lesson
from hyperseg.detection.network import Detector
from hyperseg.engine.fit import fit
from hyperseg.engine.one_cycle import train
from hyperseg.engine.training import History
from hyperseg.recipes.detection.planning import Plan
from hyperseg.recipes.detection.settings import DetectSettings, twin_of

TIMED = 5  # steps; the first is not counted
FEWEST_STEPS = 10
POINTS = 500  # of a curve that is kept, at most


@dataclass(frozen=True)
class Prepared:
    """A volume as it is learnt from: (C, *S) scaled values on the common grid, boxes (M, 2n) there, and remarks."""

    name: str
    image: NDArray[Any]
    boxes: NDArray[np.float32]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """What detectors of a run learn from, all of them the same."""

    labelled: Sequence[Prepared]
    unlabelled: Sequence[Prepared]

    def batches(self, plan: Plan, seed: int) -> Callable[[int], Batch]:
        """What is drawn in a step: the same labelled patches, and turns of them, whatever is learnt from."""
        labelled = [(case.image, case.boxes) for case in self.labelled]
        unlabelled = [case.image for case in self.unlabelled]
        counts = plan.batch, plan.batch_unlabelled
        return lambda step: draw_batch(
            labelled, unlabelled, patch=plan.patch, counts=counts, seed=seed, step=step, with_object=plan.near
        )


def start_net(plan: Plan, runtime: Runtime) -> Detector:
    """The network before its first step; the same weights whatever it learns."""
    with seeded(runtime.seed):
        return Detector(plan.spec).to(runtime.device)


def learn(
    net: Detector, settings: DetectSettings, plan: Plan, pool: Pool, *, steps: int, runtime: Runtime, title: str
) -> History:
    """Train `net` in place for so many steps; it ends with the average of its weights.

    All is a function of step and steps, so that a training that was interrupted goes on as if it had not been.
    """
    phases, averages = _lesson(net, settings, steps)
    return train(
        phases, pool.batches(plan, runtime.seed), steps, modules={NETWORK: net}, averages=averages,
        runtime=runtime, name=NETWORK, title=title,
    )  # fmt: skip


def step_seconds(net: Detector, settings: DetectSettings, plan: Plan, pool: Pool, runtime: Runtime) -> float:
    """Seconds of a step with everything that a step of the later part of a training does; tried on a copy of `net`."""
    copy, times = deepcopy(net), [time.perf_counter()]
    warmed = _without_warm_up(settings)
    fit(
        _lesson(copy, warmed, TIMED)[0], pool.batches(plan, runtime.seed), TIMED,
        modules={NETWORK: copy}, seed=runtime.seed, device=runtime.device, precision=runtime.precision,
        report=lambda done, values: times.append(time.perf_counter()), read_every=1, graphs=None,
    )  # fmt: skip
    return float(median(np.diff(times[1:])))


def steps_in(
    minutes: float, net: Detector, settings: DetectSettings, plan: Plan, pool: Pool, runtime: Runtime
) -> tuple[int, float]:
    """How many steps take so long, those of the warm-up being cheaper; and seconds of a usual one."""
    later = step_seconds(net, settings, plan, pool, runtime)
    warm = settings.focalmix.warm_up
    if not settings.focalmix.unlabelled or warm == 0:
        return max(FEWEST_STEPS, int(60 * minutes / later)), later
    first = step_seconds(net, twin_of(settings), plan, pool, runtime)
    mean = warm * first + (1 - warm) * later
    return max(FEWEST_STEPS, int(60 * minutes / mean)), mean


def curves_of(history: History) -> dict[str, Any]:
    """Loss terms, thinned; JSON."""
    every = ceil(max(len(history.steps), 1) / POINTS)
    return {
        "seconds": history.seconds, "at": history.steps[::every],
        "losses": {name: values[::every] for name, values in history.terms.items()},
    }  # fmt: skip


def _lesson(net: Detector, settings: DetectSettings, steps: int) -> Any:
    chosen = settings.training
    return lesson(net, settings.focalmix, steps=steps, lr=chosen.lr, weight_decay=chosen.weight_decay)


def _without_warm_up(settings: DetectSettings) -> DetectSettings:
    return changed(settings, {"focalmix.warm_up": 0.0})
