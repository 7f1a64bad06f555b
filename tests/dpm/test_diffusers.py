"""Schedulers of diffusers over our grids: the same numbers as our own, its known bugs, and what is refused."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import pytest
import torch
from exact_denoisers import gaussian, mixture
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.diffusers.adapter import LIVE_BUGS, from_diffusers, scheduler_class
from hyperseg.dpm.samplers.diffusers.telling import by_level, by_process
from hyperseg.dpm.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore:__array.*:DeprecationWarning")  # of diffusers with NumPy 2
LINEAR = SCHEDULES["linear"]
BORROWED = [name for name in SAMPLERS if SAMPLERS[name].package]
CLASSES = (
    "DDPM", "DDIM", "PNDM", "DPMSolverSinglestep", "DPMSolverMultistep", "DEISMultistep", "UniPCMultistep",
    "EulerAncestralDiscrete", "LMSDiscrete", "KDPM2Discrete", "KDPM2AncestralDiscrete", "EDMDPMSolverMultistep",
    "SASolver", "LCM", "TCD",
)  # fmt: skip
SHAPE = (4, 2, 3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def end(name: str, grid: Grid, denoise: Any = None) -> Tensor:
    x = start(grid, SHAPE, seeded(0))
    return SAMPLERS[name].sample(denoise or gaussian(mean=0.3), x, grid, generator=seeded(1)).x


@pytest.mark.parametrize(
    ("theirs", "ours", "digits"),
    [
        ("diffusers-ddim", "ddim", 1e-12),
        ("kdpm2", "dpm-solver-2", 1e-12),
        ("edm-dpm", "dpmpp-2m", 1e-12),
        ("diffusers-dpmpp-2m", "dpmpp-2m", 1e-4),  # works in float32, on a state of 157 at first
    ],
)
def test_schedulers_are_told_every_level_exactly(theirs: str, ours: str, digits: float) -> None:
    """Over grids that diffusers cannot make itself, each agrees with what was written here from the formulae."""
    for spacing in ("lu", "karras", "quadratic"):
        for schedule in (LINEAR, SCHEDULES["edm"]):
            grid = make_grid(schedule, 17, spacing)  # type: ignore[arg-type]
            torch.testing.assert_close(end(theirs, grid), end(ours, grid), rtol=digits, atol=digits)


@pytest.mark.parametrize("name", BORROWED)
@pytest.mark.parametrize("channels", [1, 3, 200])
def test_a_learnt_variance_never_reaches_a_solver(name: str, channels: int) -> None:
    """Solvers of diffusers cut what such a network says at three channels; it is split off before."""
    sampler = SAMPLERS[name]
    grid = make_grid(LINEAR, sampler.least + 2, sampler.spacing, on_steps=sampler.on_steps)

    def plain(x: Tensor, place: Tensor) -> Tensor:
        return 0.3 * x

    def learnt(x: Tensor, place: Tensor) -> Tensor:
        return torch.cat([plain(x, place), torch.full_like(x, 50.0)], 1)

    x = start(grid, (2, channels, 3), seeded(0))
    found = [
        sampler.sample(denoiser(network, LINEAR, extras=extras), x, grid, generator=seeded(1)).x
        for network, extras in ((plain, ()), (learnt, ("share",)))
    ]
    assert found[0].shape == x.shape
    assert torch.equal(*found)


@pytest.mark.parametrize("name", [n for n in BORROWED if SAMPLERS[n].order])
def test_orders_of_solvers_without_noise(name: str) -> None:
    """At least the order that is stated: those that begin with Euler's step do better until that step shows."""
    exact = end_of_mixture("pf-ode", 160)
    coarse, fine = ((end_of_mixture(name, steps) - exact).square().mean().log2() / 2 for steps in (42, 84))
    assert float(coarse - fine) > SAMPLERS[name].order - 0.15


@cache
def end_of_mixture(name: str, steps: int) -> Tensor:
    x = 10 * torch.randn(20, 2, generator=seeded(1), dtype=torch.float64)
    grid = make_grid(SCHEDULES["edm"], steps, "karras", first=10, last=0.1, zero=False)
    return SAMPLERS[name].sample(mixture(0.3), x, grid, generator=seeded(1)).x


ORACLE = (
    ("ddim", "leading", (0.282, 0.125, 0.048, 0.016, 0.008)),
    ("pndm", "leading", (0.183, 0.141, 0.090, 0.016, 0.003)),  # the last one .002 there, which stops at the first step
    ("ddim", "karras", (0.242, 0.088, 0.037, 0.014, 0.007)),
    ("heun", "karras", (1.160, 0.091, 0.012, 0.001, 0.000)),
    ("deis", "lu", (0.279, 0.115, 0.105, 0.009, 0.002)),
    ("dpmpp-2m", "karras", (0.268, 0.114, 0.021, 0.003, 0.001)),
    ("dpmpp-2m", "lu", (0.073, 0.043, 0.008, 0.002, 0.001)),
    ("dpmpp-3m", "lu", (0.289, 0.233, 0.045, 0.002, 0.001)),
    ("unipc", "lu", (0.276, 0.111, 0.049, 0.026, 0.010)),
    ("kdpm2", "karras", (1.787, 0.236, 0.048, 0.012, 0.003)),
)


def test_distance_to_the_flow_of_a_mixture_stays_under_the_known_one() -> None:
    """Root mean square of coordinates, six Gaussians on a circle; figures are those of diffusers 0.42.1, times 1.2."""
    noise = torch.randn(400, 2, generator=seeded(0), dtype=torch.float64)

    def found(name: str, spacing: Any, steps: int) -> Tensor:
        grid = make_grid(LINEAR, steps, spacing, on_steps=spacing == "leading")
        return SAMPLERS[name].sample(mixture(), noise / grid.alphas[0], grid, generator=seeded(1)).x

    exact = found("pf-ode", "lu", 100)
    for name, spacing, ceilings in ORACLE:
        for steps, ceiling in zip((5, 10, 20, 50, 100), ceilings, strict=True):
            away = float((found(name, spacing, steps) - exact).square().mean().sqrt())
            assert away < 1.2 * ceiling + 0.0006, f"{name} over {steps} steps of {spacing}"


def test_every_class_is_there() -> None:
    for name in CLASSES:
        assert callable(scheduler_class(f"{name}Scheduler"))


def test_a_missing_package_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    calls: list[int] = []
    for name in BORROWED:
        sampler = SAMPLERS[name]
        grid = make_grid(LINEAR, 3, on_steps=sampler.on_steps)
        with pytest.raises(SettingError, match=r'pip install "hyperseg\[diffusion\]"'):
            sampler.sample(lambda x, s: calls.append(1), start(grid, SHAPE, seeded(0)), grid, generator=seeded(1))
        with pytest.raises(SettingError, match=r'pip install "hyperseg\[diffusion\]"'):
            sampler.check()
    assert not calls
    SAMPLERS["ddim"].check()


def test_what_a_scheduler_cannot_honour_is_refused() -> None:
    between, noisy = make_grid(LINEAR, 5, "lu"), make_grid(LINEAR, 5, zero=False, on_steps=True)
    for name, grid, told in (
        ("lcm", between, "on_steps=True"), ("tcd", between, "on_steps=True"),
        ("lcm", noisy, "zero=True"), ("tcd", noisy, "zero=True"), ("diffusers-ddpm", noisy, "zero=True"),
        ("lcm", make_grid(SCHEDULES["vp"], 5), "continuous"), ("pndm", make_grid(LINEAR, 1), "2 steps"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=told):
            end(name, grid)


def test_what_is_not_the_schedulers_to_say_is_refused() -> None:
    for option in ({"beta_start": 0.1}, {"use_karras_sigmas": True}, {"prediction_type": "sample"}, {"clip_sample": 1}):
        with pytest.raises(SettingError, match="Leave it out"):
            from_diffusers("UniPCMultistepScheduler", by_level, scaled=True, **option)


def test_combinations_that_diffusers_gets_wrong_are_refused_with_its_issue() -> None:
    for (name, options, _), issue in zip(LIVE_BUGS, ("diffusers#12633", "diffusers#12771"), strict=True):
        with pytest.raises(SettingError, match=issue):
            from_diffusers(name, by_process, scaled=True, **options)


def test_ddim_of_diffusers_still_steps_to_times_it_does_not_list() -> None:
    """When this fails, huggingface/diffusers#12633 has been mended: drop its line in `LIVE_BUGS`."""
    assert listed_gap("leading") < 1e-6
    assert listed_gap("linspace") > 0.01


def listed_gap(spacing: str, steps: int = 13) -> float:
    """Largest error of abar at the time to which a step goes, against the next one listed; data of 1, no noise."""
    scheduler = scheduler_class("DDIMScheduler")(timestep_spacing=spacing, clip_sample=False)
    scheduler.set_timesteps(steps)
    abars, times, one = scheduler.alphas_cumprod.double(), scheduler.timesteps, torch.ones(1, 1, 1, dtype=torch.float64)
    stepped = [scheduler.step(0 * one, t, abars[t].sqrt() * one, eta=0.0).prev_sample for t in times[:-1]]
    return float((torch.cat(stepped).flatten() ** 2 - abars[times[1:]]).abs().max())


def test_dpm_solver_of_diffusers_still_ends_in_an_index_error() -> None:
    """When this fails, huggingface/diffusers#12771 has been mended: drop its line in `LIVE_BUGS`."""
    scheduler = scheduler_class("DPMSolverMultistepScheduler")(
        beta_schedule="squaredcos_cap_v2", use_karras_sigmas=True
    )
    scheduler.set_timesteps(20)
    x = torch.ones(1, 1, 1)
    with pytest.raises(IndexError):  # noqa: PT012
        for time in scheduler.timesteps:
            x = scheduler.step(0 * x, time, x).prev_sample
