"""Variational bounds where -log p is known."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from mixtures import Mixture, blobs, gaussian, uniform_denoiser

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Prediction, noise_like
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.jump import Variance, jumps, optimal_variance
from hyperseg.dpm.likelihood.bits import bits_per_dim, log_gaussian
from hyperseg.dpm.likelihood.bound import Bound, continuous_bound, variational_bound
from hyperseg.dpm.samplers.stochastic.analytic import estimate_gammas
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import discrete

ANISOTROPIC = gaussian([1.0, 0.3, 0.1, 0.03, 0.01], seed=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gap(data: Mixture, found: Bound, x: torch.Tensor) -> tuple[float, float]:
    """Mean of the bound less -log p in bits for each dimension, and its standard error."""
    bits = bits_per_dim(found.nats + data.log_density(x), x[0].numel())
    return float(bits.mean()), float(bits.std()) / len(bits) ** 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("data", [ANISOTROPIC, blobs()], ids=["gaussian", "mixture"])
def test_the_continuous_bound_of_a_perfect_denoiser_is_exact(schedule: str, data: Mixture) -> None:
    x = data.draw(2000, seeded())
    # from little noise on, where the last term costs nothing
    grid = make_grid(SCHEDULES[schedule], 30, last=0.004, zero=False)
    found = continuous_bound(data.denoiser(), x, grid, generator=seeded(1))
    mean, error = gap(data, found, x)
    assert abs(mean) < 3 * error < 0.12, (mean, error)


def test_the_continuous_bound_of_a_mixture_within_a_hundredth_of_a_bit() -> None:
    data = blobs()
    x, grid = data.draw(12_000, seeded()), make_grid(SCHEDULES["edm"], 40, zero=False)
    mean, error = gap(data, continuous_bound(data.denoiser(), x, grid, generator=seeded(1)), x)
    assert error < 0.013
    assert abs(mean) < 0.01


@pytest.mark.parametrize("variance", ["small", "large"])
def test_more_steps_tighten_the_bound_to_the_exact_value(variance: Literal["small", "large"]) -> None:
    x = ANISOTROPIC.draw(2000, seeded())
    gaps = []
    for steps in (30, 120, 480):
        grid = make_grid(SCHEDULES["linear"], steps, last=0.004, zero=False)
        found = variational_bound(ANISOTROPIC.denoiser(), x, grid, generator=seeded(1), variance=variance)
        mean, error = gap(ANISOTROPIC, found, x)
        assert mean > -3 * error  # never below the truth
        gaps.append(mean)
    assert gaps[2] < 0.15
    assert gaps[0] > 2.5 * gaps[1] > 6 * gaps[2], gaps  # about as one over the number of steps


def test_a_variance_that_is_known_beats_both_fixed_ones_at_few_steps() -> None:
    data = gaussian([0.25] * 6)
    x = data.draw(600, seeded())
    for steps in (5, 10, 25):
        grid = make_grid(SCHEDULES["linear"], steps, "trailing")
        of = {
            name: gap(
                data, variational_bound(data.denoiser(squared=True), x, grid, generator=seeded(1), variance=name), x
            )
            for name in ("small", "large", "squared")
        }
        assert of["squared"][0] < min(of["small"][0], of["large"][0]) - 0.05, (steps, of)
        assert abs(of["squared"][0]) < 0.01 + 3 * of["squared"][1]  # all of its steps are normal: nothing is lost


def test_variances_can_be_given_for_each_step() -> None:
    data = gaussian([0.25] * 3)
    x, grid = data.draw(400, seeded()), make_grid(SCHEDULES["cosine"], 8)
    t = grid.sigmas
    left = 0.25 * t[:-1] ** 2 / (0.25 + t[:-1] ** 2)  # of the clean data, when the state is known
    known = t[1:] ** 2 * (1 - (t[1:] / t[:-1]) ** 2) + (1 - (t[1:] / t[:-1]) ** 2) ** 2 * left
    given = variational_bound(data.denoiser(), x, grid, generator=seeded(), variance=known)
    exact = variational_bound(data.denoiser(squared=True), x, grid, generator=seeded(), variance="squared")
    mean, error = gap(data, given, x)
    assert abs(mean - gap(data, exact, x)[0]) < 0.05
    assert abs(mean) < 3 * error < 0.15
    with pytest.raises(SettingError, match="7 variances for 8"):
        variational_bound(data.denoiser(), x, grid, generator=seeded(), variance=known[1:])


def told(data: Mixture, share: float) -> Denoise:
    return lambda x, s: Prediction(data.denoiser()(x, s).x0, share=torch.full_like(x, share))


def test_a_share_lies_between_the_fixed_variances() -> None:
    data = blobs()
    x, grid = data.draw(100, seeded()), make_grid(SCHEDULES["linear"], 20)

    def bound(variance: str, share: float) -> torch.Tensor:
        return variational_bound(told(data, share), x, grid, generator=seeded(), variance=variance).nats

    torch.testing.assert_close(bound("share", 1.0), bound("large", 0.0))
    ends, middle = (bound("share", 0.0), bound("large", 0.0)), bound("share", 0.5)
    assert not torch.allclose(*ends)
    assert not torch.allclose(middle, ends[0])
    # a finite value is better than either end where both are wrong by as much
    assert float(middle.mean()) < max(float(e.mean()) for e in ends)


def test_a_bound_costs_a_call_for_each_level_above_0_and_its_limit_two() -> None:
    data, x = gaussian([0.3, 0.05], seed=2), torch.zeros(1, 1, 2, dtype=torch.float64)
    for grid in (make_grid(SCHEDULES["linear"], 12), make_grid(SCHEDULES["linear"], 11, zero=False)):
        assert variational_bound(data.denoiser(), x, grid, generator=seeded()).nfe == 12
        assert continuous_bound(data.denoiser(), x, grid, generator=seeded()).nfe == 24


def test_the_shares_of_dimensions_sum_up_and_point_to_the_odd_one() -> None:
    data = gaussian([0.25] * 6)
    x, grid = data.draw(20, seeded()), make_grid(SCHEDULES["linear"], 30, zero=False)
    x[:, 0, 2] += 5
    for bound in (variational_bound, continuous_bound):
        found = bound(data.denoiser(), x, grid, generator=seeded())
        torch.testing.assert_close(found.each.flatten(1).sum(1), found.nats)
        assert found.each.shape == x.shape
        assert (found.each[:, 0].argmax(1) == 2).all()


def test_a_batch_is_its_samples_and_the_same_generator_the_same_bytes() -> None:
    data, grid = blobs(dims=4), make_grid(SCHEDULES["cosine"], 6)
    x = data.draw(8, seeded())
    for bound in (variational_bound, continuous_bound):

        def run(rows: list[int], bound=bound) -> Bound:
            return bound(data.denoiser(), x[rows], grid, generator=[seeded(i) for i in rows])

        batch = run(list(range(8)))
        each = torch.cat([run([i]).nats for i in range(8)])
        torch.testing.assert_close(batch.nats, each, atol=1e-10, rtol=1e-12)
        assert torch.equal(batch.each, run(list(range(8))).each)


def levels(n: int, dims: int, bins: int) -> torch.Tensor:
    return torch.randint(0, bins, (n, 1, dims), generator=seeded()).double() / (bins - 1) * 2 - 1


def test_uniform_noise_of_256_levels_has_8_bits() -> None:
    x = levels(200, 4, 256)
    for steps, most in ((100, 9), (1000, 8.1)):
        grid = make_grid(SCHEDULES["linear"], steps, last=0.004)
        bits = bits_per_dim(variational_bound(uniform_denoiser(), x, grid, generator=seeded(), bins=256).nats, 4)
        error = float(bits.std()) / len(bits) ** 0.5
        assert 8 - 3 * error < float(bits.mean()) < most, steps


@pytest.mark.parametrize("bins", [2, 17, 256])
def test_the_probabilities_of_all_levels_sum_to_one(bins: int) -> None:
    every = torch.linspace(-1, 1, bins, dtype=torch.float64)
    for mean, std in ((0.0, 0.01), (0.97, 0.3), (-1.5, 0.05), (0.3, 4.0)):
        logs = log_gaussian(every, torch.tensor(mean).double(), torch.tensor(std**2).double(), bins)
        assert logs.isfinite().all()
        assert math.isclose(float(logs.exp().sum()), 1, rel_tol=1e-12)
    # far away the logarithm stays finite, and bins much narrower than the distribution have its density
    far = log_gaussian(every, torch.tensor(9.0).double(), torch.tensor(1e-6).double(), bins)
    assert far.isfinite().all()
    assert (far[:-1] < far[1:]).all()


def test_one_last_step_from_all_noise_is_known_by_hand() -> None:
    # x0 and the prior are told without a network: L_T and L_0 as written in the paper, and nothing between
    x = torch.tensor([[[0.3, -0.2]]], dtype=torch.float64)
    schedule = SCHEDULES["linear"]
    grid = make_grid(schedule, 2, "trailing")
    found = variational_bound(lambda s, _: Prediction(x.expand_as(s)), x, grid, generator=seeded(), variance="small")
    abar = float(schedule.abars()[-1])
    first = 0.5 * float((abar * x**2 + (1 - abar) - 1 - math.log(1 - abar)).sum())
    std = float(schedule.std(torch.tensor(0.5)))  # a step to no noise at all has beta = std squared
    last = 2 * (math.log(std) + 0.5 * math.log(2 * math.pi))
    assert float(found.nats) == pytest.approx(first + last, rel=1e-12)


def test_what_cannot_be_done_is_refused() -> None:
    x, grid = torch.zeros(2, 1, 3, dtype=torch.float64), make_grid(SCHEDULES["linear"], 4)
    with pytest.raises(SettingError, match=r"add_extras\(model, data, runtime"):
        variational_bound(uniform_denoiser(), x, grid, generator=seeded(), variance="share")
    with pytest.raises(SettingError, match="small, large, share"):
        variational_bound(uniform_denoiser(), x, grid, generator=seeded(), variance="tiny")
    with pytest.raises(SettingError, match="two or more noise levels"):
        continuous_bound(uniform_denoiser(), x, make_grid(SCHEDULES["edm"], 1), generator=seeded())


@pytest.mark.parametrize("variance", ["small", "large"])
def test_it_is_the_bound_of_the_textbook(variance: Literal["small", "large"]) -> None:
    data, steps = blobs(), 12
    schedule = discrete("short", torch.linspace(0.02, 0.4, steps, dtype=torch.float64))
    abars, x = schedule.abars(), data.draw(5, seeded())
    grid = make_grid(schedule, steps, "trailing", on_steps=True)
    found = variational_bound(data.denoiser(), x, grid, generator=seeded(7), variance=variance)

    noise, before = seeded(7), torch.cat([torch.ones(1), abars[:-1]])
    betas, small = 1 - abars / before, (1 - before) / (1 - abars) * (1 - abars / before)
    total = 0.5 * (abars[-1] * x**2 + (1 - abars[-1]) - 1 - (1 - abars[-1]).log())
    for t in range(steps - 1, -1, -1):
        state = abars[t].sqrt() * x + (1 - abars[t]).sqrt() * noise_like(x, noise)
        ratio = ((1 - abars[t]) / abars[t]).sqrt().expand(len(x))
        x0 = data.denoiser()(state / abars[t].sqrt(), ratio).x0

        def mean(clean: torch.Tensor, t: int = t, state: torch.Tensor = state) -> torch.Tensor:
            of_state = (1 - betas[t]).sqrt() * (1 - before[t]) / (1 - abars[t])
            return before[t].sqrt() * betas[t] / (1 - abars[t]) * clean + of_state * state

        if t > 0:
            var = small[t] if variance == "small" else betas[t]
            gap = mean(x) - mean(x0)
            total = total + 0.5 * ((var / small[t]).log() + small[t] / var - 1 + gap**2 / var)
        else:
            total = total + 0.5 * (2 * math.pi * betas[0]).log() + (x - mean(x0)) ** 2 / (2 * betas[0])
    torch.testing.assert_close(found.each, total, rtol=1e-9, atol=1e-9)


def test_one_fitted_variance_for_all_dimensions_beats_both_fixed_ones_at_few_steps() -> None:
    data = blobs(dims=4)
    x, some = data.draw(400, seeded()), data.draw(400, seeded(1))
    for steps in (6, 12, 30):
        grid = make_grid(SCHEDULES["linear"], steps, "trailing")
        gammas = estimate_gammas(data.denoiser(), some, grid, seeded(2))
        ways = [j for j in jumps(grid) if j.now > 0]
        fitted = torch.tensor([float(optimal_variance(j, j.posterior, 1 - gammas[j.now])) for j in ways])
        names: dict[str, Variance | torch.Tensor] = {"small": "small", "large": "large", "fitted": fitted.double()}
        gaps = {
            name: gap(data, variational_bound(data.denoiser(), x, grid, generator=seeded(3), variance=v), x)[0]
            for name, v in names.items()
        }
        assert 0 < gaps["fitted"] < min(gaps["small"], gaps["large"]), (steps, gaps)
