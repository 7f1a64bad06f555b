"""Where a teacher goes from noise to data: what students learn from, walked once for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.denoise import Denoise, Prediction
from hyperseg.dpm.faster.speedup import drawn_classes
from hyperseg.dpm.faster.target import wanted
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import most_at_once
from hyperseg.dpm.samplers.dpmpp_2m import dpmpp_2m
from hyperseg.engine.progress import counted_progress

KEPT = 2**26  # values of all paths at one level: more do not fit beside other work


class Paths(NamedTuple):
    """States of a teacher's paths at some of its noise levels.

    Attributes:
        sigmas: (K + 1,) float64 falling noise levels, the last 0.
        states: (K + 1, n, C, *S) float32, where the paths are at these levels.
        labels: (n,) classes that were told, -1 for none; or None.
    """

    sigmas: Tensor
    states: Tensor
    labels: Tensor | None

    def every(self, few: int) -> Paths:
        """The same paths at every `few`th of the levels: those of a student of fewer steps."""
        return Paths(self.sigmas[::few], self.states[::few], self.labels)

    def aims(self) -> Tensor:
        """(K, n, C, *S) float32: the clean data that lead from each level straight to the next one."""
        found = []
        for levels, states in zip(pairwise(self.sigmas), pairwise(self.states), strict=True):
            now, then = (level.expand(self.states.shape[1]) for level in levels)
            found.append(wanted(states[0].double(), states[1].double(), now, then).float())
        return torch.stack(found)


def bearable(n: int, shape: Sequence[int]) -> int:
    """How many of `n` paths of samples (C, *S) memory bears: some gigabytes at five levels, with what is wanted."""
    return max(min(n, KEPT // math.prod(shape)), 1)


def walk(
    teacher: DiffusionModel, shape: Sequence[int], runtime: Runtime, *, n: int, first: int, steps: int,
    labels: Tensor | None = None, untold: float = 0.0,
) -> Paths:  # fmt: skip
    """Paths of a teacher's `first` steps even in time, from pure noise, looked at after every 1 / `steps` of them.

    Args:
        shape: (C, *S) of a sample.
        runtime: where; its seed decides the noise.
        n: number of paths.
        labels: (m,) classes among which each path's is drawn, or None.
        untold: share of the paths whose class is not told.

    Differs: Salimans & Ho take DDIM; the same path is followed with a quarter of the calls by a solver of order 2.
    """
    device = torch.device(runtime.device)
    generator = torch.Generator(device).manual_seed(runtime.seed)
    grid = make_grid(teacher.schedule, first, "trailing").to(device)
    told = None
    if labels is not None:
        told = drawn_classes(labels.to(device), n, generator).long()
        told = torch.where(torch.rand(n, generator=generator, device=device) < untold, -1, told)
    most = most_at_once(math.prod(shape), runtime.device)
    found: list[Tensor] = []
    with counted_progress(runtime.label("paths of the teacher"), unit="paths", quiet=runtime.quiet) as progress:
        for begin in range(0, n, most):
            size, part = min(most, n - begin), slice(begin, begin + most)
            denoise = teacher.denoise(None if told is None else told[part])
            x = start(grid, (size, *shape), generator, device=device)
            found.append(_states(denoise, x, grid, generator, every=first // steps))
            progress(begin + size, n)
    return Paths(grid.sigmas[:: first // steps], torch.cat(found, 1), told)


def _states(denoise: Denoise, x: Tensor, grid: Grid, generator: torch.Generator, *, every: int) -> Tensor:
    """(K + 1, n, C, *S) float32: where a solver is at every so many of its steps."""
    asked: list[Tensor] = []

    def noting(x: Tensor, sigma: Tensor) -> Prediction:
        asked.append(x)
        return denoise(x, sigma)

    end = dpmpp_2m(noting, x, grid, generator=generator).x
    return torch.stack([*asked[::every], end]).float()
