"""One Mask R-CNN, trained by its settings on pictures in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from hyperseg.core.runtime import Runtime
from hyperseg.engine.ema import Ema
from hyperseg.engine.fit import fit
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.engine.training import History
from hyperseg.recipes.instances.patches import batches
from hyperseg.recipes.instances.pictures import Example
from hyperseg.recipes.instances.planning import Plan
from hyperseg.recipes.instances.settings import InstanceSettings
from hyperseg.zoo.instances.learning import MaskRCNNLoss
from hyperseg.zoo.instances.mask_rcnn import MaskRCNN, build

NETWORK = "network"
TIMED = 5  # steps; the first is not counted
FEWEST_STEPS = 10


def start_net(plan: Plan, runtime: Runtime) -> MaskRCNN:
    """The network before its first step."""
    return build(plan.spec, runtime.seed).to(runtime.device)


def learn(
    net: MaskRCNN, settings: InstanceSettings, plan: Plan, examples: Sequence[Example], *, steps: int, runtime: Runtime,
    title: str,
) -> History:  # fmt: skip
    """Train `net` in place for so many steps; it ends with the average of its weights.

    All is a function of step and steps, so that a training that was interrupted goes on as if it had not been.
    """
    phases, averages = _lesson(net, settings, steps)
    return train(
        phases, batches(examples, plan, settings.training, runtime.seed), steps, modules={NETWORK: net},
        averages=averages, runtime=replace(runtime, precision="fp32"), name=NETWORK, title=title,
    )  # fmt: skip


def step_seconds(
    net: MaskRCNN, settings: InstanceSettings, plan: Plan, examples: Sequence[Example], runtime: Runtime
) -> float:
    """Seconds of a step, tried on a copy of `net`."""
    copy, times = deepcopy(net), [time.perf_counter()]
    fit(
        _lesson(copy, settings, TIMED)[0], batches(examples, plan, settings.training, runtime.seed), TIMED,
        modules={NETWORK: copy}, seed=runtime.seed, device=runtime.device,
        report=lambda done, values: times.append(time.perf_counter()), read_every=1, graphs=None,
    )  # fmt: skip
    return float(median(np.diff(times[1:])))


def steps_in(
    minutes: float, net: MaskRCNN, settings: InstanceSettings, plan: Plan, examples: Sequence[Example], runtime: Runtime
) -> tuple[int, float]:
    """How many steps take so long, and seconds of one."""
    seconds = step_seconds(net, settings, plan, examples, runtime)
    return max(FEWEST_STEPS, int(60 * minutes / seconds)), seconds


def _lesson(net: MaskRCNN, settings: InstanceSettings, steps: int) -> Any:
    chosen = settings.training
    loss = MaskRCNNLoss(net, settings.lesson)
    phase = one_cycle("network", loss, net.parameters(), steps=steps, lr=chosen.lr, weight_decay=chosen.weight_decay)
    phase.recorded = False  # how many objects there are decides what is done
    return [phase], {NETWORK: Ema(net, decay=chosen.average)}
