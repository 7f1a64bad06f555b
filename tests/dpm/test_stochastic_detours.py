"""Churn, restarts and truncated starts: what they become where nothing is added, and that they reach a mixture."""

from __future__ import annotations

import math

import pytest
import torch
from exact import assert_reached, gaussian, response, ring, variance
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Generators
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.stochastic.churn import churned
from hyperseg.dpm.samplers.stochastic.restart import restarting
from hyperseg.dpm.samplers.stochastic.truncated import gaussian_guess, lowered, truncated
from hyperseg.dpm.schedules.edm import EDM
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.schedules.vp import VP


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def heun(denoise: Denoise, x: Tensor, grid: Grid) -> Tensor:
    """Written once more: mean of the slopes at both ends, the last step along the first one."""
    for now, then in zip(grid.sigmas[:-1], grid.sigmas[1:], strict=True):
        slope = (x - denoise(x, now.expand(len(x))).x0) / now
        guess = x + (then - now) * slope
        if then > 0:
            slope = (slope + (guess - denoise(guess, then.expand(len(x))).x0) / then) / 2
        x = x + (then - now) * slope
    return x


@pytest.mark.parametrize("sampler", [churned("none", churn=0.0), restarting("none", times=0)], ids=["churn", "restart"])
def test_without_fresh_noise_it_is_heuns_method(sampler) -> None:
    grid, mixture = make_grid(EDM, 9, "karras"), ring()
    x = start(grid, (6, 2, 1), seeded(0))
    made = sampler.sample(mixture.denoise, x, grid, generator=seeded(1))
    torch.testing.assert_close(made.x, heun(mixture.denoise, x, grid))
    assert made.nfe == 17


def test_churn_keeps_the_variance_at_order_2() -> None:
    """Uninflated noise, Gaussian data: the error falls to a quarter with twice the steps; inflated it is too much."""
    spread, errors = 0.5, []
    sampler = churned("all", churn=20.0, low=0.0, high=1e9, inflated=1.0)
    for n in (80, 160, 320):
        grid = make_grid(EDM, n, "karras", zero=False)
        first, last = (spread**2 + grid.sigmas[[0, -1]] ** 2).tolist()
        errors.append(abs(variance(sampler.sample, gaussian(spread), grid, n, first) / last - 1))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.15)
    more = churned("more", churn=20.0, low=0.0, high=1e9, inflated=1.05)
    assert variance(more.sample, gaussian(spread), grid, n, first) > 1.05 * last


def test_churn_stays_between_its_levels() -> None:
    """Noise is drawn for the levels inside only: as many numbers as there are of them."""
    grid = make_grid(EDM, 30, "karras", zero=False)
    inside = int(((grid.sigmas[:-1] >= 0.05) & (grid.sigmas[:-1] <= 5)).sum())
    used, free = seeded(1), seeded(1)
    x = start(grid, (1, 1, 1), seeded(0))
    churned("some", churn=5.0, low=0.05, high=5.0).sample(gaussian(0.5), x, grid, generator=used)
    for _ in range(inside):
        torch.randn(1, 1, 1, generator=free, dtype=torch.float64)
    assert torch.equal(used.get_state(), free.get_state())


@pytest.mark.parametrize("steps", [2, 3, 7, 30])
@pytest.mark.parametrize("spacing", ["karras", "lu", "trailing"])
def test_restarts_cost_what_they_say(steps: int, spacing: str) -> None:
    grid, sampler = make_grid(VP, steps, spacing), SAMPLERS["restart"]
    made = sampler.sample(gaussian(0.5), start(grid, (1, 1, 1), seeded(0)), grid, generator=seeded(1))
    assert made.nfe == sampler.nfe(steps) == 2 * steps - 1 + 12


def test_restarts_forget_where_they_came_from() -> None:
    """Gaussian data: of the start's variance each restart keeps (bottom^2 + v) / (top^2 + v)."""
    grid, spread = make_grid(EDM, 60, "karras", zero=False), 0.05
    kept = [
        float(response(restarting("again", times=n, inner=30).sample, gaussian(spread), grid, n)[0]) ** 2
        for n in (0, 1, 2)
    ]
    bottom = min(grid.sigmas.tolist(), key=lambda s: abs(math.log(s / 0.06)))
    share = (bottom**2 + spread**2) / (0.3**2 + spread**2)
    assert kept[1] / kept[0] == pytest.approx(share, rel=0.05)
    assert kept[2] / kept[1] == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize("name", ["edm-churn", "restart", "truncated-gaussian"])
def test_a_mixture_is_reached_on_detours(name: str) -> None:
    mixture, sampler = ring(), SAMPLERS[name]
    grid = make_grid(VP, 40, sampler.spacing)
    sample = sampler.sample or sampler.fit(mixture.denoise, mixture.draw(2000, seeded(5)), grid, seeded(6))
    made = sample(mixture.denoise, start(grid, (400, 2, 1), seeded(7)), grid, generator=seeded(8))
    assert made.nfe == sampler.nfe(40)
    assert_reached(mixture, made.x, within=0.1)


@pytest.mark.parametrize("name", ["ddim", "ddpm", "edm-churn"])
def test_truncated_at_the_start_it_is_the_ordinary_sampler(name: str) -> None:
    def never(x: Tensor, generator: Generators) -> Tensor:
        raise AssertionError("the guess is not asked for")

    grid, mixture = make_grid(LINEAR, 8), ring()
    x = start(grid, (3, 2, 1), seeded(0))
    made = truncated(SAMPLERS[name], never, 0).sample(mixture.denoise, x, grid, generator=seeded(1))
    ordinary = SAMPLERS[name].sample(mixture.denoise, x, grid, generator=seeded(1))
    assert torch.equal(made.x, ordinary.x)
    assert made.nfe == ordinary.nfe


@pytest.mark.parametrize("name", ["ddim", "ddpm", "edm-churn"])
def test_truncated_later_it_is_the_rest_of_the_way_from_the_noised_guess(name: str) -> None:
    grid, mixture, k = make_grid(LINEAR, 9), ring(), 4
    x, guess = start(grid, (3, 2, 1), seeded(0)), mixture.draw(3, seeded(2))
    sampler = truncated(SAMPLERS[name], lambda x, generator: guess, k)
    made = sampler.sample(mixture.denoise, x, grid, generator=seeded(1))
    noised = guess + float(grid.sigmas[k]) * torch.randn(3, 2, 1, generator=seeded(0), dtype=torch.float64)
    rest = SAMPLERS[name].sample(mixture.denoise, noised, grid.after(k), generator=seeded(1))
    torch.testing.assert_close(made.x, rest.x)
    assert made.nfe == rest.nfe == sampler.nfe(9) == SAMPLERS[name].nfe(9 - k)


def test_from_a_perfect_guess_few_steps_are_enough() -> None:
    mixture, grid = ring(), make_grid(LINEAR, 40)
    first = int((grid.sigmas > 0.1).sum())
    sampler = truncated(SAMPLERS["ddpm"], lambda x, generator: mixture.draw(len(x), seeded(3)), first)
    made = sampler.sample(mixture.denoise, start(grid, (400, 2, 1), seeded(0)), grid, generator=seeded(1))
    assert made.nfe < 25
    assert_reached(mixture, made.x, within=0.1)


def test_the_fitted_gaussian_has_the_moments_of_the_data() -> None:
    mix = torch.randn(6, 6, generator=seeded(0), dtype=torch.float64)
    data = (torch.randn(1000, 6, generator=seeded(1), dtype=torch.float64) @ mix + 3).reshape(1000, 2, 3)
    guess, level = gaussian_guess(data, seeded(2))
    flat, made = data.flatten(1), guess(torch.zeros(20000, 2, 3, dtype=torch.float64), seeded(3)).flatten(1)
    assert level == pytest.approx(float(flat.var(0).mean()) ** 0.5)
    torch.testing.assert_close(made.mean(0), flat.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(made.T.cov(), flat.T.cov(), atol=0.1 * level**2 * 6, rtol=0)


def test_a_lowered_grid_has_as_many_steps_from_the_level_down() -> None:
    grid = make_grid(VP, 10)
    low = lowered(grid, 0.7)
    assert low.steps == grid.steps + 1
    assert low.sigmas[[0, 1, -2, -1]].tolist() == pytest.approx(
        [float(grid.sigmas[0]), 0.7, *grid.sigmas[-2:].tolist()]
    )
    steady = low.sigmas[1:-1].log().diff()
    torch.testing.assert_close(steady, steady[0].expand(len(steady)))
    for n in (2, 3, 5):  # even in time, the lowest level of few steps is not low
        few = lowered(make_grid(VP, n, "trailing"), 0.3)
        assert few.steps == n + 1
        assert float(few.sigmas[-2]) <= 0.003 + 1e-9
    one = lowered(make_grid(VP, 1), 0.7)
    assert one.sigmas[1:].tolist() == pytest.approx([0.7, 0.0])


def test_what_cannot_be_is_refused() -> None:
    grid, x = make_grid(VP, 4), torch.zeros(2, 1, 3, dtype=torch.float64)
    with pytest.raises(SettingError, match="cannot start"):
        truncated(SAMPLERS["ddpm"], lambda x, g: x, 4).sample(gaussian(1), x, grid, generator=seeded(0))
    with pytest.raises(SettingError, match="shape"):
        truncated(SAMPLERS["ddpm"], lambda x, g: x[:1], 1).sample(gaussian(1), x, grid, generator=seeded(0))
    with pytest.raises(SettingError, match="fitted"):
        truncated(SAMPLERS["analytic-ddpm"], lambda x, g: x, 1)
    with pytest.raises(SettingError, match="point 0"):
        truncated(SAMPLERS["ddpm"], lambda x, g: x, -1)
    with pytest.raises(SettingError, match="two samples"):
        gaussian_guess(x[:1], seeded(0))
    with pytest.raises(SettingError, match="churn"):
        churned("bad", churn=-1.0)
    with pytest.raises(SettingError, match="restarts"):
        restarting("bad", low=0.5, high=0.3)
