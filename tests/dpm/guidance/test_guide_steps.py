"""What guidance does to a step: the mean of an ancestral step moves by the gradient, and nothing else does."""

from __future__ import annotations

import math

import pytest
import torch
from exact_denoisers import gaussian
from guided_toys import towards
from torch import Tensor

from hyperseg.core import SettingError, TrainingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import Grid
from hyperseg.dpm.guidance.guide import GuidedStep, guide
from hyperseg.dpm.guidance.losses import added
from hyperseg.dpm.guidance.own_step import own_step
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.linear import linear

LINEAR, SHORT = SCHEDULES["linear"], linear(20, first=0.01, last=0.3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def state(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def levels(t: float, n: int = 4) -> Tensor:
    return LINEAR.ratio(torch.full((n,), t, dtype=torch.float64))


@pytest.mark.parametrize(("step", "factor"), [(99, 154.7), (499, 95.13), (799, 61.89), (999, 49.50)])
def test_factors_of_the_linear_schedule(step: int, factor: float) -> None:
    found = 1 / own_step(LINEAR, torch.tensor([(step + 1) / 1000], dtype=torch.float64)).lever
    abars = LINEAR.abars()
    beta = 1 - abars[step] / abars[step - 1]
    assert float(found) == pytest.approx(factor, rel=5e-4)
    assert float(found) == pytest.approx(float((1 - beta).sqrt() * (1 - abars[step]).sqrt() / beta), rel=1e-6)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_an_own_step_at_every_step_of_a_schedule_is_that_step_and_goes_on_between(name: str) -> None:
    schedule = SCHEDULES[name]
    times, abars = schedule.step_times(), schedule.abars()
    step, before = own_step(schedule, times), torch.cat([torch.ones(1, dtype=torch.float64), abars[:-1]])
    torch.testing.assert_close(step.alpha_now**2, abars, rtol=1e-9, atol=0)
    torch.testing.assert_close(step.alpha_then**2, before, rtol=1e-9, atol=0)
    torch.testing.assert_close(step.then, ((1 - before) / before).sqrt(), rtol=1e-6, atol=1e-9)
    fine = own_step(schedule, torch.linspace(1e-3, 0.01, 2001, dtype=torch.float64)).lever
    assert float((fine[1:] / fine[:-1] - 1).abs().max()) < 0.02  # without a leap, at the first step either


@pytest.mark.parametrize("name", ["vp", "subvp", "ve", "edm", "vdm"])
def test_an_own_step_of_a_continuous_schedule_is_a_thousandth_of_its_time(name: str) -> None:
    schedule = SCHEDULES[name]
    t = torch.linspace(schedule.t_min, schedule.t_max, 50, dtype=torch.float64)
    step = own_step(schedule, t)
    assert bool((step.then < step.now).all())
    assert bool((step.lever > 0).all())
    wide = step.alpha_then[-1] * (step.now[-1] ** 2 - step.then[-1] ** 2) / step.now[-1]
    assert float(step.lever[-1]) == pytest.approx(float(wide))


def test_the_way_of_an_own_step_is_the_formula_of_ddpm() -> None:
    """mu = (x_t - beta / sqrt(1 - abar) eps) / sqrt(1 - beta)."""
    x, x0, i = state(1, 3), state(1, 3, seed=1), 700
    abars, t = LINEAR.abars(), torch.tensor([0.701], dtype=torch.float64)
    beta, alpha, sigma = 1 - abars[i] / abars[i - 1], abars[i].sqrt(), LINEAR.ratio(t)
    eps, xt = (x - x0) / sigma, alpha * x
    mean = (xt - beta / (1 - abars[i]).sqrt() * eps) / (1 - beta).sqrt()
    torch.testing.assert_close(own_step(LINEAR, t).way(x, x0), mean - xt, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("step", range(20))
def test_the_mean_of_an_ancestral_step_moves_by_the_weighted_gradient(step: int) -> None:
    """DDPM over two neighbouring steps of its schedule, the same noise in both."""
    times = torch.cat([torch.zeros(1, dtype=torch.float64), SHORT.step_times()])
    sigmas = torch.where(times > 0, SHORT.ratio(times), times)
    grid, weight, x = Grid(SHORT, sigmas[[step + 1, step]]), 0.07, state(4, 2, 5)
    exact, loss = gaussian(mean=0.2), towards()
    ends = [
        SAMPLERS["ddpm"].sample(ask, x, grid, generator=seeded(3)).x
        for ask in (exact, guide(exact, loss, weight, schedule=SHORT))
    ]
    alpha, then = SHORT.alpha(times[step + 1]), float(grid.alphas[1])
    xt = (alpha * x).requires_grad_()
    slope = torch.autograd.grad(loss(exact(xt / alpha, grid.sigmas[:1].expand(4)), x).sum(), xt)[0]
    torch.testing.assert_close(then * (ends[1] - ends[0]), -weight * slope, rtol=1e-6, atol=1e-9)


def test_the_noise_moves_by_its_own_scale_where_that_is_asked() -> None:
    """eps' = eps + w g std, in any schedule."""
    for schedule in (LINEAR, SCHEDULES["edm"], SCHEDULES["ve"]):
        x, sigma = state(4, 6), torch.full((4,), 0.7, dtype=torch.float64)
        said = gaussian()(x, sigma)
        told = guide(gaussian(), towards(), 2.0, schedule=schedule, mode="eps")(x, sigma)
        slope = 0.25 / (0.25 + 0.49) * (said.x0 - 1)  # with respect to x: alpha, of x_t and of std, goes out
        torch.testing.assert_close((said.x0 - told.x0) / sigma[:, None], 2 * slope * 0.7, rtol=1e-9, atol=1e-9)


def test_the_variance_of_the_noise_stays() -> None:
    x, sigma = state(4, 6), levels(0.3)
    exact, guided = gaussian(), guide(gaussian(), towards(), 0.1, schedule=LINEAR)
    spreads = []
    for said in (exact(x, sigma), guided(x, sigma)):
        assert said.squared is not None
        spreads.append(said.squared - ((x - said.x0) / sigma[:, None]).square())
    torch.testing.assert_close(spreads[0], spreads[1], rtol=1e-6, atol=1e-9)


def test_without_weight_and_outside_its_window_nothing_changes_and_nothing_is_differentiated() -> None:
    asked: list[bool] = []

    def exact(x: Tensor, sigma: Tensor) -> Prediction:
        asked.append(torch.is_grad_enabled() and x.requires_grad)
        return gaussian()(x, sigma)

    x = state(4, 6)
    for weight, t in ((0.0, 0.3), (0.5, 0.81)):
        said = guide(exact, towards(), weight, schedule=LINEAR, latest=0.8)(x, levels(t))
        assert torch.equal(said.x0, gaussian()(x, levels(t)).x0)
    guide(exact, towards(), 0.5, schedule=LINEAR, latest=0.8)(x, levels(0.8))
    guide(exact, towards(), 0.5, schedule=LINEAR, earliest=0.2)(x, levels(0.19))
    assert asked == [False, False, True, False]
    mixed = torch.cat([levels(0.9, 2), levels(0.3, 2)])
    moved = guide(exact, towards(), 0.5, schedule=LINEAR, latest=0.8)(x, mixed).x0 != exact(x, mixed).x0
    assert moved.all(1).tolist() == [False, False, True, True]


def test_gradients_are_worked_out_under_no_grad_and_leave_no_graph() -> None:
    guided = guide(gaussian(), towards(), 0.5, schedule=LINEAR)
    x = state(4, 6)
    here = guided(x, levels(0.3))
    with torch.no_grad():
        there = guided(x, levels(0.3))
    assert torch.equal(here.x0, there.x0)
    assert not any(part is not None and part.requires_grad for part in there[:4])
    assert not x.requires_grad


def test_every_third_call_in_the_window_is_guided_and_more_noise_begins_anew() -> None:
    notes: list[GuidedStep] = []
    guided = guide(gaussian(), towards(), 0.5, schedule=LINEAR, latest=0.75, every=3, note=notes.append)
    for _ in range(2):
        for t in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
            guided(state(4, 6), levels(t))
    assert [round(note.t, 6) for note in notes] == [0.7, 0.4, 0.7, 0.4]


def test_a_note_tells_the_step() -> None:
    """||w grad|| / ||mu - x_t||, mean over samples; mu - x_t is checked above."""
    notes: list[GuidedStep] = []
    x, sigma = state(4, 6), levels(0.5)
    guide(gaussian(), towards(), 0.3, schedule=LINEAR, note=notes.append)(x, sigma)
    (note,), said, alpha = notes, gaussian()(x, sigma), LINEAR.alpha(torch.tensor(0.5, dtype=torch.float64))
    slope = 0.25 / (0.25 + sigma[:, None] ** 2) * (said.x0 - 1) / alpha
    way = own_step(LINEAR, torch.full((4,), 0.5, dtype=torch.float64)).way(x, said.x0)
    assert note.ratio == pytest.approx(float((0.3 * slope.norm(dim=1) / way.norm(dim=1)).mean()), rel=1e-6)
    assert note.loss == pytest.approx(float(towards()(said, sigma).mean()))
    assert note[:2] == pytest.approx((0.5, float(sigma[0])))


def test_terms_are_added_with_their_weights_and_those_without_are_not_asked() -> None:
    def never(said: Prediction, sigma: Tensor) -> Tensor:
        raise AssertionError

    said = gaussian()(state(4, 6), levels(0.3))
    one, other = towards(1.0)(said, said.x0), towards(2.0)(said, said.x0)
    total = added((2.0, towards(1.0)), (0.0, never), (3.0, towards(2.0)))(said, said.x0)
    torch.testing.assert_close(total, 2 * one + 3 * other)
    with pytest.raises(SettingError, match="at least one loss"):
        added()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": -1.0}, "0 or more, got -1"),
        ({"weight": math.nan}, "0 or more"),
        ({"schedule": SCHEDULES["edm"]}, "'edm' is continuous.*mode='eps'"),
        ({"mode": "median"}, "mean or the eps of a step, got 'median'"),
        ({"latest": 0.0}, "earliest below the latest, got 0 to 0"),
        ({"earliest": 0.5, "latest": 0.4}, "got 0.5 to 0.4"),
        ({"every": 0}, "1 or more, got 0"),
    ],
)
def test_what_cannot_be_is_refused_before_a_step(change: dict[str, object], message: str) -> None:
    given = {"weight": 1.0, "schedule": LINEAR, **change}
    with pytest.raises(SettingError, match=message):
        guide(gaussian(), towards(), **given)  # type: ignore[arg-type]


def test_losses_that_mix_samples_or_do_not_depend_on_the_state_are_refused() -> None:
    x, sigma = state(4, 6), levels(0.3)
    with pytest.raises(SettingError, match=r"each of 4 samples, got a tensor of shape \(\)"):
        guide(gaussian(), lambda said, sigma: said.x0.sum(), 1.0, schedule=LINEAR)(x, sigma)
    for constant in (lambda said, sigma: 0 * sigma, lambda said, sigma: said.x0.detach().sum(1)):
        with pytest.raises(SettingError, match="does not depend on the state"):
            guide(gaussian(), constant, 1.0, schedule=LINEAR)(x, sigma)


def test_a_step_that_is_not_finite_says_when_and_how_large_the_one_before_was() -> None:
    x = state(4, 6)
    guided = guide(gaussian(), towards(), 0.5, schedule=LINEAR)
    guided(x, levels(0.5))
    with pytest.raises(TrainingError, match=r"weight 0\.5 at t = 0\.400.*the step before had \d.*smaller weights"):
        guided(x * math.inf, levels(0.4))
    with pytest.raises(TrainingError, match="it was the first guided step"):
        guide(gaussian(), towards(), 1e306, schedule=LINEAR)(x, levels(0.4))
