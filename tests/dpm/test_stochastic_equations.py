"""Equations and Langevin dynamics: marginals of VE, VP and sub-VP, stationary variances, settings at their ends."""

from __future__ import annotations

import math

import pytest
import torch
from exact import assert_reached, gaussian, response, ring, variance

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.stochastic.langevin import annealed_langevin, rate_between
from hyperseg.dpm.samplers.stochastic.predictor_corrector import predictor_corrector
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.schedules.subvp import SUBVP
from hyperseg.dpm.schedules.ve import VE
from hyperseg.dpm.schedules.vp import VP

EQUATIONS = pytest.mark.parametrize("schedule", [VE, VP, SUBVP], ids=lambda s: s.name)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@EQUATIONS
def test_the_equation_forwards_has_the_marginals_of_its_closed_form(schedule) -> None:
    """dx = f x dt + g dw from x = 1 by small steps: mean alpha, standard deviation std (less what there is at 0)."""
    n, steps, t_end = 4000, 400, 0.7
    times = torch.linspace(schedule.t_min, t_end, steps + 1, dtype=torch.float64)
    middle, dt, g = (times[1:] + times[:-1]) / 2, float(times[1] - times[0]), seeded(0)
    x = torch.ones(n, dtype=torch.float64)
    for f, g2 in zip(schedule.drift(middle).tolist(), schedule.diffusion(middle).tolist(), strict=True):
        x = x + f * x * dt + math.sqrt(g2 * dt) * torch.randn(n, generator=g, dtype=torch.float64)
    ends = torch.tensor([schedule.t_min, t_end], dtype=torch.float64)
    alpha, std = schedule.alpha(ends), schedule.std(ends)
    scale = float(alpha[1] / alpha[0])
    spread = math.sqrt(float(std[1] ** 2 - scale**2 * std[0] ** 2))
    assert float(x.mean()) == pytest.approx(scale, abs=4 * spread / n**0.5)
    assert float(x.std()) == pytest.approx(spread, rel=4 / (2 * n) ** 0.5)


@EQUATIONS
@pytest.mark.parametrize("name", ["reverse-sde", "predictor-corrector", "ddpm", "ddpm-large"])
def test_the_equation_backwards_gives_the_variance_of_the_data_at_order_1(schedule, name: str) -> None:
    """Gaussian data: the error of the variance before the last step halves with twice the steps (exact, no chance)."""
    spread, errors = 0.5, []
    sample = predictor_corrector(name, inner=0).sample if name == "predictor-corrector" else SAMPLERS[name].sample
    for steps in (100, 200, 400):
        time = torch.linspace(schedule.t_max, 0.05, steps + 1, dtype=torch.float64)
        grid = Grid(schedule, schedule.ratio(time))
        first, last = (spread**2 + grid.sigmas[[0, -1]] ** 2).tolist()
        errors.append(variance(sample, gaussian(spread), grid, steps, first) / last - 1)
    assert abs(errors[-1]) < 0.06
    assert 0.85 < math.log2(errors[1] / errors[2]) < 2.1  # for VE by Euler and Maruyama the first order nearly cancels


@EQUATIONS
def test_a_corrector_of_ratio_0_is_the_predictor_alone(schedule) -> None:
    """It draws its noise and calls, but nothing of that reaches the result; the predictor's part stays the same."""
    grid, denoise = make_grid(schedule, 5, "trailing"), gaussian(0.5)
    alone = response(predictor_corrector("alone", inner=0).sample, denoise, grid, 4)
    both = response(predictor_corrector("both", ratio=0.0).sample, denoise, grid, 8)
    torch.testing.assert_close(both[[0, 1, 3, 5, 7]], alone)
    assert float(both[[2, 4, 6, 8]].abs().max()) < 1e-12


def test_the_corrector_settles_on_the_gaussian() -> None:
    """Many steps of it after one predictor: variance of data and noise, in many pixels, where norms are steady."""
    level, spread = 0.7, 0.5
    grid = Grid(VE, torch.tensor([0.71, level], dtype=torch.float64))
    x = 3 * torch.randn(40, 1, 100, generator=seeded(0), dtype=torch.float64)
    made = predictor_corrector("long", inner=200, ratio=0.16).sample(gaussian(spread), x, grid, generator=seeded(1)).x
    assert float(made.var()) == pytest.approx(spread**2 + level**2, rel=0.12)


@pytest.mark.parametrize("rate", [0.02, 0.2, 1.0])
def test_langevin_at_one_level_reaches_the_variance_of_the_gaussian(rate: float) -> None:
    """v = spread^2 + s^2 in the limit of small steps; with rate r it settles at v / (1 - r s^2 / (4 v)), exactly."""
    spread, level, inner, begin = 0.5, 0.4, 300, 9.0
    grid = Grid(VE, torch.tensor([1.0, level], dtype=torch.float64))
    sampler = annealed_langevin("one", inner=inner, rate=rate)
    v = spread**2 + level**2
    settled, kept = v / (1 - rate * level**2 / (4 * v)), (1 - rate * level**2 / (2 * v)) ** (2 * inner)
    found = variance(sampler.sample, gaussian(spread), grid, inner, begin)
    assert found == pytest.approx(settled + kept * (begin - settled), rel=1e-6)
    assert rate < 0.1 or found == pytest.approx(settled, rel=1e-6)  # the small steps are still on the way
    assert rate > 0.1 or settled == pytest.approx(v, rel=0.01)


def test_the_papers_step_size_is_the_default() -> None:
    """2e-5 at level 0.01, growing with the square of the level: a step adds a / 2 score + sqrt(a) noise."""
    level, step = 0.03, 2e-5 * (0.03 / 0.01) ** 2
    grid = Grid(VE, torch.tensor([0.1, level], dtype=torch.float64))
    way = response(annealed_langevin("one", inner=1).sample, gaussian(0.5), grid, 1)
    score = -1 / (0.5**2 + level**2)
    torch.testing.assert_close(way, torch.tensor([1 + step / 2 * score, math.sqrt(step)], dtype=torch.float64))


def test_the_rate_of_few_steps_is_the_best_between_two_levels() -> None:
    """On data that are one point: no other rate brings the variance nearer to that of the new level."""
    levels = [1.1, 1.0]
    grid, best = Grid(VE, torch.tensor(levels, dtype=torch.float64)), rate_between(levels, 5)

    def made(rate: float) -> float:
        return variance(annealed_langevin("one", inner=5, rate=rate).sample, gaussian(1e-9), grid, 5, levels[0] ** 2)

    assert 1 < made(best) < levels[0] ** 2
    assert made(best) < min(made(0.9 * best), made(1.1 * best), made(0.2), made(0.01))


@pytest.mark.parametrize(
    ("name", "schedule", "steps", "within"),
    [
        ("ncsn", VE, 8, 0.1), ("ncsn-v2", LINEAR, 60, 0.05), ("reverse-sde", SUBVP, 100, 0.05),
        ("reverse-sde", VE, 100, 0.05), ("predictor-corrector", VP, 60, 0.1), ("predictor-corrector", VE, 60, 0.2),
    ],
)  # fmt: skip
def test_a_mixture_is_reached_by_equations(name: str, schedule, steps: int, within: float) -> None:
    mixture, sampler = ring(), SAMPLERS[name]
    grid = make_grid(schedule, steps, sampler.spacing)
    made = sampler.sample(mixture.denoise, start(grid, (400, 2, 1), seeded(7)), grid, generator=seeded(8))
    assert made.nfe == sampler.nfe(steps)
    assert_reached(mixture, made.x, within=within)


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    """Norms are per sample: a neighbour a thousand times as large changes no byte."""
    grid, sample = make_grid(VE, 6, "trailing"), SAMPLERS["predictor-corrector"].sample
    x = start(grid, (2, 3, 5), [seeded(0), seeded(1)])
    other = torch.stack([x[0], 1000 * x[1]])
    a, b = (sample(gaussian(0.5), z, grid, generator=[seeded(2), seeded(3)]).x for z in (x, other))
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[1], b[1])


def test_a_flat_place_stops_nobody() -> None:
    """A score of 0 in all pixels gives no infinite step."""
    grid = make_grid(VE, 4, "trailing")
    flat = SAMPLERS["predictor-corrector"].sample(
        lambda x, sigma: Prediction(x), start(grid, (2, 1, 3), seeded(0)), grid, generator=seeded(1)
    )
    assert bool(flat.x.isfinite().all())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SettingError, match="Langevin"):
        annealed_langevin("bad", inner=0)
    with pytest.raises(SettingError, match="Langevin"):
        annealed_langevin("bad", inner=5, rate=2.5)
    with pytest.raises(SettingError, match="corrector"):
        predictor_corrector("bad", ratio=-1.0)
