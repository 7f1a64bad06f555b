"""Schedules: goldens of their abars, closed forms of their equations, inverses, and a schedule that is learnt."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.losses.hybrid import reverse
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.linear import linear
from hyperseg.dpm.schedules.schedule import discrete, interpolated
from hyperseg.dpm.schedules.vdm import LearntGamma, vdm

GOLDEN = {
    "linear": {0: 0.9999, 99: 0.897018, 249: 0.524085, 499: 0.0785872, 749: 0.00335055, 999: 4.03583e-5},
    "cosine": {0: 0.999959, 99: 0.972093, 249: 0.847012, 499: 0.493844, 749: 0.144272, 999: 2.42877e-9},
}
T = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)


def rate(t: Tensor) -> Tensor:
    return 0.1 + 19.9 * t


def whole(t: Tensor) -> Tensor:
    return 0.1 * t + 19.9 * t**2 / 2


def learnt(seed: int = 0, size: float = 1.0) -> LearntGamma:
    gamma = LearntGamma()
    with torch.no_grad():
        gamma.shape.copy_(size * torch.randn(len(gamma.shape), generator=torch.Generator().manual_seed(seed)))
    return gamma


@pytest.mark.parametrize("name", GOLDEN)
def test_abars_are_those_of_the_papers(name: str) -> None:
    abars = SCHEDULES[name].abars()
    for step, value in GOLDEN[name].items():
        assert float(abars[step]) == pytest.approx(value, rel=2e-5)


def test_edm_levels_are_those_of_the_paper() -> None:
    wanted = (80, 57.586, 40.786, 28.375, 19.352, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882, 0.58535, 0.29644,
              0.13952, 0.059947, 0.022935, 0.007528, 0.002, 0)  # fmt: skip
    sigmas = make_grid(SCHEDULES["edm"], 18, "karras").sigmas
    assert sigmas.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_rises_and_time_is_its_inverse(name: str) -> None:
    schedule = SCHEDULES[name]
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * torch.linspace(0, 1, 501, dtype=torch.float64)
    ratio = schedule.ratio(t)
    assert bool((ratio[1:] > ratio[:-1]).all())
    torch.testing.assert_close(schedule.ratio(schedule.time(ratio)), ratio, rtol=1e-6, atol=0)
    torch.testing.assert_close(schedule.time(ratio), t, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["linear", "cosine", "vp", "vdm"])
def test_variance_is_preserved(name: str) -> None:
    schedule = SCHEDULES[name]
    torch.testing.assert_close(schedule.alpha(T) ** 2 + schedule.std(T) ** 2, torch.ones_like(T))


@pytest.mark.parametrize(
    ("name", "drift", "diffusion"),
    [
        ("vp", lambda t: -rate(t) / 2, rate),
        ("subvp", lambda t: -rate(t) / 2, lambda t: rate(t) * -torch.expm1(-2 * whole(t))),
        ("ve", torch.zeros_like, lambda t: 2 * math.log(5000) * (0.01 * 5000**t) ** 2),
        ("edm", torch.zeros_like, lambda t: 2 * t),
    ],
)  # fmt: skip
def test_equations_have_their_closed_forms(name: str, drift, diffusion) -> None:  # type: ignore[no-untyped-def]
    schedule = SCHEDULES[name]
    torch.testing.assert_close(schedule.drift(T), drift(T), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(schedule.diffusion(T), diffusion(T), rtol=1e-8, atol=1e-10)


def test_the_limit_of_many_small_steps_is_the_variance_preserving_equation() -> None:
    errors = []
    for steps in (100, 200, 400):
        betas = rate((torch.arange(steps, dtype=torch.float64) + 0.5) / steps) / steps
        t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        half = steps // 2
        errors.append(abs(float((discrete("x", betas).alpha(t) / SCHEDULES["vp"].alpha(t)).log()[half])))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_the_variance_of_the_second_step_lies_between_known_ends() -> None:
    """0-based step 1 of linear-1000: the posterior's variance is 0.454736 beta."""
    step = reverse(SCHEDULES["linear"], torch.tensor([2 / 1000, 1 / 1000], dtype=torch.float64))
    assert float((step.small - step.large)[0].exp()) == pytest.approx(0.454736, rel=1e-5)
    assert float(step.large[1].exp()) == pytest.approx(1e-4, rel=1e-6)
    assert float(step.small[1]) == pytest.approx(float(step.small[0]), rel=1e-9)  # instead of log 0
    assert step.first.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("betas", [[0.1, 0.0], [0.1, 1.0], [-0.1, 0.5], [0.1, math.nan], [0.1], [[0.1, 0.2]]])
def test_betas_outside_0_to_1_are_refused(betas: list[float]) -> None:
    with pytest.raises(SettingError, match="strictly between 0 and 1"):
        discrete("mine", torch.tensor(betas))


def test_numbers_that_are_no_schedule_are_refused() -> None:
    with pytest.raises(SettingError, match="rises from knot to knot"):
        interpolated("mine", torch.tensor([0.0, 1.0, 0.5]))
    with pytest.raises(SettingError, match="from a smaller"):
        LearntGamma(5.0, -13.0)
    with pytest.raises(SettingError, match="continuous"):
        SCHEDULES["vp"].step_times()
    with pytest.raises(SettingError, match="unknown schedule"):
        SCHEDULES["liner"]


def test_beyond_their_steps_schedules_go_on() -> None:
    """Below the first step the ratio goes on falling, so that a sampler may ask for less noise than was trained."""
    t = torch.tensor([0.2, 1.0, 1.5]) / 10
    assert linear(10).ratio(t.double()).diff().min() > 0


@pytest.mark.parametrize("size", [0.0, 1.0, 10.0])
def test_a_learnt_gamma_rises_whatever_its_weights_and_keeps_its_ends(size: float) -> None:
    gamma = learnt(size=size).knots() * 2
    assert bool((gamma.diff() > 0).all())  # the signal-to-noise ratio exp(-gamma) falls
    assert gamma[[0, -1]].tolist() == pytest.approx([-13.3, 5.0], abs=1e-5)


def test_a_learnt_schedule_is_sigmoid_of_gamma_live_and_fixed_alike() -> None:
    gamma = learnt()
    fixed, live = gamma.schedule(), gamma.live()
    for curve in ("alpha", "std", "place", "ratio"):
        torch.testing.assert_close(getattr(live, curve)(T).detach(), getattr(fixed, curve)(T), rtol=1e-9, atol=1e-12)
    at = T[3:4]
    value = 2 * fixed.ratio(at).log()
    torch.testing.assert_close(fixed.std(at) ** 2, value.sigmoid())
    torch.testing.assert_close(live.time(fixed.ratio(T)), T)


def test_nothing_learnt_is_the_schedule_of_the_table() -> None:
    torch.testing.assert_close(LearntGamma().schedule().ratio(T), vdm().ratio(T), rtol=1e-6, atol=0)


def test_the_place_of_a_learnt_schedule_depends_on_the_noise_alone() -> None:
    """What the network is told of a noise level stays as it is when the shape is learnt."""
    one, other = learnt(0).schedule(), learnt(1).schedule()
    ratio = torch.logspace(-2, 0.9, 9, dtype=torch.float64)
    torch.testing.assert_close(one.place(one.time(ratio)), other.place(other.time(ratio)), rtol=1e-5, atol=1e-4)
