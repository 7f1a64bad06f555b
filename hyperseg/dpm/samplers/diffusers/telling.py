"""How schedulers of diffusers are told a grid: those that go by noise levels, and those that go by steps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.diffusers.adapter import Told

Make = Callable[..., Any]


def by_level(make: Make, grid: Grid, levels: list[float]) -> Told:
    """One call at each level but the last: most multistep schedulers. Times are told as levels."""
    scheduler = _short(make, len(levels) - 1)
    scheduler.sigmas = _doubles(levels)
    scheduler.timesteps = _doubles(levels[:-1])
    scheduler.is_scale_input_called = True  # what that would scale has been scaled
    return Told(scheduler, levels)


def by_number(make: Make, grid: Grid, levels: list[float]) -> Told:
    """As `by_level`, with levels as Python's numbers, for a scheduler that integrates over them one by one."""
    told = by_level(make, grid, levels)
    told.scheduler.sigmas = levels
    return told


def by_half(make: Make, grid: Grid, levels: list[float]) -> Told:
    """Two calls a step, the second half-way on the logarithm; one where the last level is 0."""
    half = [(a * b) ** 0.5 for a, b in pairwise(levels)]
    return _halves(make, levels, half, {"sigmas_interpol": [half[0], *half]})


def by_half_down(make: Make, grid: Grid, levels: list[float]) -> Told:
    """As `by_half`, where a step goes further down than its level and noise is added up to that."""
    up = [b * (1 - (b / a) ** 2) ** 0.5 for a, b in pairwise(levels)]
    down = [b**2 / a for a, b in pairwise(levels)]
    half = [(a * b) ** 0.5 for a, b in zip(levels[:-1], down, strict=True)]
    extra = {"sigmas_interpol": half, "sigmas_up": up, "sigmas_down": down}
    return _halves(make, levels, half, {name: [*values, 0.0] for name, values in extra.items()})


def by_process(make: Make, grid: Grid, levels: list[float]) -> Told:
    """The grid as a process of its own with as many steps as it has: then every step of it is a whole one."""
    steps = len(levels) - 1
    scheduler = make(num_train_timesteps=steps, clip_sample=False)
    scheduler.set_timesteps(steps)
    return _with_process(scheduler, levels)


def by_process_ending_in_data(make: Make, grid: Grid, levels: list[float]) -> Told:
    """As `by_process`, for a scheduler whose last step always ends in data."""
    _check_zero(grid)
    return by_process(make, grid, levels)


def by_process_twice(make: Make, grid: Grid, levels: list[float]) -> Told:
    """As `by_process`; the first step is done again with the mean of two answers, so the second level comes twice."""
    steps = len(levels) - 1
    if steps < 2:
        raise SettingError("this multistep scheduler does its first step twice: it needs a grid of 2 steps, got 1.")
    scheduler = make(num_train_timesteps=steps, skip_prk_steps=True)
    scheduler.set_timesteps(steps)
    told = _with_process(scheduler, levels)
    return Told(told.scheduler, [levels[0], levels[1], *levels[1:]])


def by_schedule(make: Make, grid: Grid, levels: list[float]) -> Told:
    """Whole steps of the grid's own schedule, whose steps are counted from 1, and 0 is without noise."""
    _check_zero(grid)
    abars = grid.schedule.abars()
    places = grid.times[:-1].cpu() * len(abars)
    if float((places - places.round()).abs().max()) > 1e-6:
        raise SettingError(
            "this scheduler visits whole steps of its schedule only, and the grid has levels between them: "
            "make_grid(..., on_steps=True)."
        )
    scheduler = make(num_train_timesteps=len(abars) + 1, original_inference_steps=len(abars))
    scheduler.set_timesteps(len(places))
    scheduler.set_begin_index(0)
    scheduler.alphas_cumprod = torch.cat([torch.ones(1, dtype=torch.float64), abars])
    scheduler.timesteps = places.round().long()
    return Told(scheduler, levels)


def _short(make: Make, steps: int) -> Any:
    """Ready for its first step of so many; with a schedule of its own as short as can be, as it is not used."""
    scheduler = make(num_train_timesteps=max(steps, 2))
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    return scheduler


def _with_process(scheduler: Any, levels: list[float]) -> Told:
    abars = 1 / (1 + _doubles(levels) ** 2)
    scheduler.alphas_cumprod, scheduler.final_alpha_cumprod = abars[:-1].flip(0), abars[-1]
    return Told(scheduler, levels)


def _halves(make: Make, levels: list[float], half: list[float], extra: dict[str, list[float]]) -> Told:
    scheduler, last = _short(make, len(levels) - 1), int(levels[-1] == 0)
    visited = [level for pair in zip(levels[:-1], half, strict=True) for level in pair]
    visited = [*(visited[:-1] if last else visited), levels[-1]]
    for name, values in {"sigmas": levels, **extra}.items():
        doubled = _doubles(values).repeat_interleave(2)
        setattr(scheduler, name, torch.cat([doubled[1:], doubled[-1:]]))
    scheduler.timesteps = _doubles(visited[:-1])
    return Told(scheduler, visited)


def _check_zero(grid: Grid) -> None:
    if float(grid.sigmas[-1]) != 0:
        raise SettingError(
            f"this scheduler's last step always ends in data without noise, and the grid ends at "
            f"{float(grid.sigmas[-1]):g}: make_grid(..., zero=True)."
        )


def _doubles(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
