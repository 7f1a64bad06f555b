"""How long a benchmark takes, measured before it begins; and what fits into so many minutes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from hyperseg.recipes.bench.settings import BenchSettings

if TYPE_CHECKING:
    from hyperseg.dpm.network import DenoiserSpec

TRIES = 3
SHARE = 0.3  # of the minutes that training the network gets; the rest is sampling and training of speed-ups
FEWEST, MOST = 100, 10_000  # samples of a cell
LEAST_STEPS = 100


@dataclass(frozen=True)
class Pace:
    """Seconds that this machine takes.

    Attributes:
        step: for a training step.
        call: for one network call for one sample, in a batch of many.
    """

    step: float
    call: float

    def seconds(self, steps: int, calls: int) -> float:
        """Of so many training steps, and of so many network calls for one sample."""
        return steps * self.step + calls * self.call


def measure_pace(spec: DenoiserSpec, shape: tuple[int, ...], *, batch: int, samples: int, device: str) -> Pace:
    """Seconds of a step and of a call, medians of a few."""
    import torch

    from hyperseg.backbone import seeded
    from hyperseg.dpm.network import Denoiser, most_at_once

    with seeded(0):
        network = Denoiser(spec).to(device)
    one = torch.zeros(batch, *shape, device=device)
    many = torch.zeros(min(samples, 512, most_at_once(math.prod(shape), device)), *shape, device=device)
    step = _timed(lambda: network(one, one.new_zeros(batch)).square().mean().backward(), device)
    network.eval()
    with torch.no_grad():
        call = _timed(lambda: network(many, many.new_zeros(len(many))), device)
    return Pace(step * 1.25, call / len(many))  # optimiser and averages take a quarter more


def scaled(settings: BenchSettings, pace: Pace, calls: int, minutes: float) -> BenchSettings:
    """The settings with as many training steps and samples as fit into so many minutes."""
    seconds = 60 * minutes
    steps = max(int(SHARE * seconds / pace.step), LEAST_STEPS)
    samples = int((1 - SHARE) * 0.7 * seconds / max(calls * pace.call, 1e-9))  # 0.7: judging, and what trains
    return replace(settings, steps=steps, samples=min(max(samples, FEWEST), MOST))


def _timed(work: object, device: str) -> float:
    import torch

    def once() -> float:
        began = time.perf_counter()
        work()  # type: ignore[operator]
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    once()
    return median(once() for _ in range(TRIES))
