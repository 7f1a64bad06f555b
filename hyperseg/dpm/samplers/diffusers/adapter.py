"""Schedulers of the optional package `diffusers` as samplers over our own grids.

A scheduler is told the levels of our grid exactly, as real numbers, in place of its own: it never chooses levels, betas
or spacings. It gets the answer of the network as noise, worked out from clean data in float64, so what else a network
says (a variance) never comes near it. Each trajectory has a scheduler object of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Denoise, Generators, Sampled, check_generators
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.samplers.sampler import REMEDY, Sample

PACKAGE = "diffusers"
SAME = "gives what a sampler written here gives, and is for checking that"
OPEN = (
    "algorithm_type", "corrector_order", "euler_at_final", "lower_order_final", "predict_x0", "predictor_order",
    "solver_order", "solver_type", "tau_func", "variance_type",
)  # fmt: skip
LIVE_BUGS = (
    (
        "DDIMScheduler", {"timestep_spacing": "linspace"},
        "huggingface/diffusers#12633: it steps to other times than it lists",
    ),
    (
        "DPMSolverMultistepScheduler", {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
        "huggingface/diffusers#12771: times come twice, and it ends in an IndexError",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A scheduler that was told a grid.

    Attributes:
        scheduler: the object, for one trajectory.
        levels: noise-to-signal ratio of the state at each of its network calls, and at its end.
        step: more arguments of its `step`.
    """

    scheduler: Any
    levels: list[float]
    step: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[Callable[..., Any], Grid, list[float]], Told]
"""(its class, the grid, levels to visit) -> the scheduler told of them; raises where it cannot honour them."""
Answer = Callable[[Tensor, Tensor, float], Tensor]
"""(x, x0, sigma) -> what the scheduler expects a network to say."""


def noise_of(x: Tensor, x0: Tensor, sigma: float) -> Tensor:
    """The noise in x = x0 + sigma noise."""
    return (x - x0).div_(sigma)


def from_diffusers(
    name: str, tell: Tell, *, scaled: bool, noisy: bool = False, finish: bool = False, answer: Answer = noise_of,
    **options: Any,
) -> Sample:  # fmt: skip
    """The scheduler class `name` as a sampler's function; the package is looked for when that is called.

    Args:
        name: of the class.
        tell: how it is told a grid.
        scaled: its state is x / sqrt(1 + sigma^2); else x as ours.
        noisy: its `step` takes a generator.
        finish: it cannot step to 0. That step, which takes the clean data as they are predicted, is done here.
        answer: what it expects of a network.
        options: of the class, of those in `OPEN`; all others are the grid's, the schedule's or the network's to say.

    Raises:
        SettingError: another option, with diffusers' issue where it is known to do wrong with it; when called, the
            package is missing, or the scheduler cannot honour the grid.
    """
    _check_options(name, options)

    def alpha(sigma: float) -> float:
        return (1 + sigma**2) ** -0.5 if scaled else 1.0

    def sample(denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        check_generators(x, generator)
        make, call, levels = partial(scheduler_class(name), **options), Counted(denoise), grid.sigmas.tolist()
        noise = {"generator": generator if isinstance(generator, torch.Generator) else list(generator)} if noisy else {}
        to_zero = finish and levels[-1] == 0
        told = tell(make, grid, levels[:-1] if to_zero else levels) if len(levels) > 1 + to_zero else None
        if told is not None:
            for (now, then), time in zip(pairwise(told.levels), told.scheduler.timesteps, strict=True):
                said = answer(x, call(x, now).x0, now)
                x = told.scheduler.step(said, time, alpha(now) * x, **noise, **told.step).prev_sample / alpha(then)
        if to_zero:
            x = call(x, levels[-2]).x0
        return Sampled(x, call.calls)

    return sample


def scheduler_class(name: str) -> Callable[..., Any]:
    """The class of the package.

    Raises:
        SettingError: the package is missing.
    """
    try:
        return getattr(importlib.import_module(PACKAGE), name)
    except ImportError as error:
        raise SettingError(
            f"this sampler is {name} of the package {PACKAGE}, which is not installed: {REMEDY}."
        ) from error


def _check_options(name: str, options: dict[str, Any]) -> None:
    for scheduler, broken, issue in LIVE_BUGS:
        if scheduler == name and broken.items() <= options.items():
            raise SettingError(
                f"{name} with {_listed(broken)} is wrong in diffusers, see {issue}. Leave it out: levels are the "
                "grid's to say, make_grid(..., spacing=...)."
            )
    closed = {key: value for key, value in options.items() if key not in OPEN}
    if closed:
        raise SettingError(
            f"{name} with {_listed(closed)}: levels and spacing are the grid's to say, betas the schedule's, what a "
            f"network predicts the denoiser's. Leave it out; open are {', '.join(OPEN)}."
        )


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in options.items())
