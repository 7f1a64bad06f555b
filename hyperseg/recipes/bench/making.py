"""A cell is made: samples from the same starting noise as in every other cell, counted, timed and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Generators, Prediction, Sampled
from hyperseg.dpm.grid import Grid, start
from hyperseg.dpm.network import most_at_once
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.sampler import Sample, Sampler
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.recipes.bench.judge import Judge, as_pictures, quantiles
from hyperseg.recipes.bench.plan import Cell
from hyperseg.recipes.bench.rows import Row, packed

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel

SHOWN = 10  # samples of a cell that are kept as pictures
FITTED_ON = 256  # training samples that a sampler looks at before it begins
OTHER = 7919  # between the seeds of starting noise and of noise on the way

Tick = Callable[[], None]


class Made(NamedTuple):
    """Samples (n, C, *S) in float64, the calls of one, and seconds."""

    x: Tensor
    nfe: int
    seconds: float


@dataclass(frozen=True)
class Bench:
    """All that cells are made from.

    Attributes:
        model: with averaged weights.
        heads: the same with what some samplers need besides, or None.
        data: (n, C, *S) training data.
        held_out: (m, C, *S) data for likelihoods.
        judge: of samples.
        samples: in every cell.
        seed: of all noise.
        device: where networks are.
        levels: of the data, see `Pictures`.
        tick: called after every network call.
    """

    model: DiffusionModel
    heads: DiffusionModel | None
    data: Tensor
    held_out: Tensor
    judge: Judge
    samples: int
    seed: int
    device: str
    levels: int | None = None
    tick: Tick = lambda: None

    @property
    def most(self) -> int:
        """Samples at a time."""
        return most_at_once(self.data[0].numel(), self.device)

    @property
    def parts(self) -> int:
        """How often a cell's calls are made."""
        return -(-self.samples // self.most)

    def of(self, cell: Cell) -> DiffusionModel:
        """The model of a cell."""
        if cell.kind == "raw":
            return self.model.unaveraged
        if cell.kind != "speed-up" and SAMPLERS[cell.method].needs and self.heads is not None:
            return self.heads
        return self.model


def make_samples(bench: Bench, sampler: Sampler, denoise: Denoise, grid: Grid) -> Made:
    """Samples from the noise that every cell starts from."""
    sample = ready(sampler, denoise, bench.data[:FITTED_ON].double(), grid, seed=bench.seed)
    ticking = _ticking(denoise, bench.tick)

    def part(n: int, generators: tuple[torch.Generator, torch.Generator]) -> Sampled:
        x = start(grid, (n, *bench.data.shape[1:]), generators[0], device=bench.device)
        return sample(ticking, x, grid, generator=generators[1])

    return in_parts(bench, part)


def in_parts(
    bench: Bench, part: Callable[[int, tuple[torch.Generator, torch.Generator]], Sampled]
) -> Made:  # fmt: skip
    """All samples of a cell, so many at a time as memory bears; generators are those of every cell.

    Args:
        part: (number of samples, generators of starting noise and of noise on the way) -> samples.
    """
    most = bench.most
    found: list[Tensor] = []
    nfe = 0
    began = _now(bench.device)
    for number, begin in enumerate(range(0, bench.samples, most)):
        made = part(min(most, bench.samples - begin), generators_of(bench.seed, number, bench.device))
        found.append(made.x)
        nfe = made.nfe
    return Made(torch.cat(found), nfe, _now(bench.device) - began)


def generators_of(seed: int, part: int, device: str) -> tuple[torch.Generator, torch.Generator]:
    """Of starting noise and of noise on the way: functions of seed and part alone."""
    return generator_of(seed, part, 0, device), generator_of(seed, part, 1, device)


def generator_of(seed: int, part: int, purpose: int, device: str) -> torch.Generator:
    """Of what is drawn for one purpose, a function of the three numbers: 0 is starting noise, 1 that on the way."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + part + purpose * OTHER) % 2**63)


def row_of(cell: Cell, made: Made, bench: Bench, *, family: str, spacing: str, order: int | None) -> Row:
    """The samples of a cell, judged; ones that are not finite have no numbers and a note."""
    common: dict[str, Any] = {
        "key": cell.key, "kind": cell.kind, "method": cell.method, "label": cell.label, "family": family,
        "asked": cell.asked, "nfe": made.nfe, "seconds": round(made.seconds, 3), "n": len(made.x),
        "weights": "raw" if cell.kind == "raw" else "EMA", "spacing": spacing, "clip": bench.model.clip, "order": order,
    }  # fmt: skip
    strip = packed(as_pictures(made.x[:SHOWN], spread=quantiles))
    try:
        scores = bench.judge.scores(made.x)
    except SettingError as error:
        return Row(**common, note=str(error), strip=strip)
    return Row(
        **common, fd=scores.fd, fd_sd=scores.fd_sd, inception=scores.inception, precision=scores.precision,
        recall=scores.recall, strip=strip,
    )  # fmt: skip


def refused_row(cell: Cell, family: str, why: str) -> Row:
    """A cell that could not be made, and why."""
    return Row(cell.key, cell.kind, cell.method, cell.label, family, cell.asked, cell.calls, note=why)


def ready(sampler: Sampler, denoise: Denoise, data: Tensor, grid: Grid, *, seed: int) -> Sample:
    """The function of a sampler, fitted first where it has to look at network and data."""
    if sampler.fit is not None:
        generator: Generators = torch.Generator(data.device).manual_seed(seed)
        return sampler.fit(denoise, data, grid, generator)
    if sampler.sample is None:
        raise SettingError(f"{sampler.name} has neither a function nor a way to fit one: mend its table.")
    return sampler.sample


def try_out(sampler: Sampler, schedule: Schedule, nfe: int, data: Tensor) -> None:
    """Run a sampler on a network that says zero: what it refuses is refused before any training.

    Args:
        nfe: the fewest calls that it will be asked for.
        data: (n, C, *S) some of the data.

    Raises:
        SettingError: whatever the sampler has against schedule, steps or packages.
    """
    grid, generator = sampler.grid(schedule, nfe), torch.Generator().manual_seed(0)

    def nothing(x: Tensor, sigma: Tensor) -> Prediction:
        besides: dict[str, Any] = {} if sampler.needs is None else {sampler.needs: torch.full_like(x, 0.5)}
        return Prediction(torch.zeros_like(x), **besides)

    sample = ready(sampler, nothing, data.double(), grid, seed=0)
    sample(nothing, start(grid, (1, *data.shape[1:]), generator), grid, generator=generator)


def _ticking(denoise: Denoise, tick: Tick) -> Denoise:
    def ask(x: Tensor, sigma: Tensor) -> Prediction:
        found = denoise(x, sigma)
        tick()
        return found

    return ask


def _now(device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()
