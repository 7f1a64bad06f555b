"""DDPM and its kin: the variances that are known, exactly, on Gaussian data; what becomes what at which end."""

from __future__ import annotations

import math

import pytest
import torch
from exact import assert_reached, gaussian, ring, variance
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Prediction
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.jump import jumps, optimal_variance
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.stochastic.analytic import analytic, estimate_gammas
from hyperseg.dpm.samplers.stochastic.ancestral import nothing, posterior
from hyperseg.dpm.samplers.stochastic.ddim import ddim
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.schedules.subvp import SUBVP
from hyperseg.dpm.schedules.ve import VE
from hyperseg.dpm.schedules.vp import VP


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def with_share(denoise: Denoise, share: float) -> Denoise:
    def say(x: Tensor, sigma: Tensor) -> Prediction:
        return denoise(x, sigma)._replace(share=share + 0 * x)

    return say


@pytest.mark.parametrize(
    ("name", "spread", "known"),
    [
        ("ddpm", 0.5, 0.246125), ("ddpm", 1.0, 0.991067), ("ddpm", 2.0, 3.974777),
        ("ddpm-large", 0.5, 0.250752), ("ddpm-large", 1.0, 0.999900), ("ddpm-large", 2.0, 3.990569),
    ],
)  # fmt: skip
def test_ddpm_of_1000_steps_ends_with_the_known_variance(name: str, spread: float, known: float) -> None:
    """From variance 1 of x_t, that is 1 / abar in these coordinates; the last step adds no noise."""
    grid = make_grid(LINEAR, 1000, "trailing", on_steps=True)
    begin = 1 / float(grid.alphas[0]) ** 2
    assert variance(SAMPLERS[name].sample, gaussian(spread), grid, 999, begin) == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize("schedule", [LINEAR, VP, VE, SUBVP], ids=lambda s: s.name)
def test_eta_1_is_ddpm_and_eta_0_is_euler(schedule) -> None:
    grid = make_grid(schedule, 7, "trailing")
    mixture, x = ring(), start(make_grid(schedule, 7, "trailing"), (5, 2, 1), seeded(0))
    full = ddim(1.0)(mixture.denoise, x, grid, generator=seeded(1)).x
    torch.testing.assert_close(full, SAMPLERS["ddpm"].sample(mixture.denoise, x, grid, generator=seeded(1)).x)
    none = ddim(0.0)(mixture.denoise, x, grid, generator=seeded(1)).x
    torch.testing.assert_close(none, SAMPLERS["ddim"].sample(mixture.denoise, x, grid, generator=seeded(1)).x)
    half = ddim(0.5)(mixture.denoise, x, grid, generator=seeded(1)).x
    assert torch.equal(half, SAMPLERS["ddim-half"].sample(mixture.denoise, x, grid, generator=seeded(1)).x)


def test_the_large_variance_is_beta_and_the_small_one_btilde() -> None:
    """Of neighbouring steps, for x_t: beta_n, and beta_n (1 - abar_(n-1)) / (1 - abar_n)."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    abars = torch.cumprod(1 - betas, 0)
    for jump in jumps(make_grid(LINEAR, 1000, "trailing", on_steps=True))[:-1:111]:
        n = int((abars - jump.alpha_now**2).abs().argmin())
        scale = jump.alpha_then**2
        assert jump.forward * scale == pytest.approx(float(betas[n]), rel=1e-8)
        small = float(betas[n] * (1 - abars[n - 1]) / (1 - abars[n]))
        assert jump.posterior * scale == pytest.approx(small, rel=1e-8)


def test_the_ends_of_a_learnt_variance_are_ddpms_two() -> None:
    grid, mixture = make_grid(LINEAR, 6, "trailing"), ring()
    x = start(grid, (4, 2, 1), seeded(3))
    for share, name in ((0.0, "ddpm"), (1.0, "ddpm-large")):
        learnt = SAMPLERS["iddpm"].sample(with_share(mixture.denoise, share), x, grid, generator=seeded(4)).x
        torch.testing.assert_close(learnt, SAMPLERS[name].sample(mixture.denoise, x, grid, generator=seeded(4)).x)


def test_btilde_of_the_first_step_is_the_known_share_of_beta() -> None:
    jump = jumps(make_grid(LINEAR, 1000, "trailing", on_steps=True))[-2]  # 0-based step 1
    assert jump.posterior / jump.forward == pytest.approx(0.454736, abs=1e-6)


@pytest.mark.parametrize(("n", "known"), [(500, 0.0100536254), (100, 0.00208303304)])
def test_the_analytic_variance_is_the_exact_one_of_gaussian_data(n: int, known: float) -> None:
    spread, betas = 0.5, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    abars = torch.cumprod(1 - betas, 0)
    jump = jumps(make_grid(LINEAR, 1000, "trailing", on_steps=True))[999 - n]
    gamma = jump.now**2 / (spread**2 + jump.now**2)
    before, beta = float(abars[n - 1]), float(betas[n])
    exact = 1 / (1 / (before * spread**2 + 1 - before) + (1 - beta) / beta)
    assert exact == pytest.approx(known, rel=1e-8)
    found = optimal_variance(jump, jump.posterior, 1 - gamma) * jump.alpha_then**2
    assert found == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("schedule", [LINEAR, VE, SUBVP], ids=lambda s: s.name)
@pytest.mark.parametrize("free", [posterior, nothing], ids=["ddpm", "ddim"])
def test_with_the_exact_gamma_every_step_keeps_the_exact_distribution(schedule, free) -> None:
    """Of Gaussian data, however few the steps: 4 steps end with the variance of data and last level."""
    spread, grid = 0.5, make_grid(schedule, 4, zero=False)
    gammas = {s: s**2 / (spread**2 + s**2) for s in grid.sigmas.tolist()}
    first, last = (spread**2 + grid.sigmas[[0, -1]] ** 2).tolist()
    sample = analytic(gammas, free)
    assert variance(sample, gaussian(spread), grid, 4, first) == pytest.approx(last, rel=1e-9)


def test_gamma_is_estimated_within_its_error_and_bounds() -> None:
    spread, grid = 0.5, make_grid(LINEAR, 12)
    data = spread * torch.randn(500, 3, 8, generator=seeded(0), dtype=torch.float64)
    found = estimate_gammas(gaussian(spread), data, grid, seeded(1))
    for s, gamma in found.items():
        exact = s**2 / (spread**2 + s**2)
        assert gamma == pytest.approx(exact, abs=5 * (1 - exact) * math.sqrt(2 / (256 * 24)))
    wild = estimate_gammas(lambda x, sigma: Prediction(3 * x), data, grid, seeded(1))  # a bad network
    half = float(data.max() - data.min()) / 2
    assert all(max(0, 1 - (half / s) ** 2) <= g <= 1 for s, g in wild.items())


@pytest.mark.parametrize("name", ["analytic-ddpm", "analytic-ddim"])
def test_fitting_says_what_it_was_fitted_for(name: str) -> None:
    data, grid = torch.randn(20, 1, 4, dtype=torch.float64, generator=seeded(0)), make_grid(VP, 5, "trailing")
    fitted = SAMPLERS[name].fit(gaussian(1.0), data, grid, seeded(1))
    x = start(grid, (2, 1, 4), seeded(2))
    assert fitted(gaussian(1.0), x, grid, generator=seeded(3)).nfe == 5
    with pytest.raises(SettingError, match="fit it again"):
        fitted(gaussian(1.0), x, make_grid(VP, 4, "trailing"), generator=seeded(3))
    with pytest.raises(SettingError, match="no data"):
        SAMPLERS[name].fit(gaussian(1.0), data[:0], grid, seeded(1))


@pytest.mark.parametrize("name", ["sn-ddpm", "npr-ddpm"])
def test_second_moments_of_gaussian_data_give_the_analytic_variance(name: str) -> None:
    spread, grid = 0.5, make_grid(LINEAR, 5, "trailing")
    gammas = {s: s**2 / (spread**2 + s**2) for s in grid.sigmas.tolist()}
    x = start(grid, (3, 2, 5), seeded(0))
    own = SAMPLERS[name].sample(gaussian(spread), x, grid, generator=seeded(1)).x
    torch.testing.assert_close(own, analytic(gammas, posterior)(gaussian(spread), x, grid, generator=seeded(1)).x)


@pytest.mark.parametrize("name", ["iddpm", "sn-ddpm", "npr-ddpm"])
def test_what_the_network_does_not_say_is_asked_for(name: str) -> None:
    grid = make_grid(LINEAR, 3)
    with pytest.raises(SettingError, match="train"):
        SAMPLERS[name].sample(
            lambda x, s: Prediction(0 * x), start(grid, (1, 1, 2), seeded(0)), grid, generator=seeded(0)
        )


@pytest.mark.parametrize(
    ("name", "within"),
    [("ddpm", 0.05), ("ddpm-large", 0.05), ("ddim-half", 0.05)]
    + [(name, 0.02) for name in ("analytic-ddpm", "analytic-ddim", "npr-ddpm", "sn-ddpm")],
)
def test_a_mixture_is_reached(name: str, within: float) -> None:
    """In 100 steps even in log(noise); the two fixed variances are 3 % too narrow and 5 % too wide there."""
    mixture, sampler, grid = ring(), SAMPLERS[name], make_grid(VP, 100)
    sample = sampler.sample or sampler.fit(mixture.denoise, mixture.draw(500, seeded(5)), grid, seeded(6))
    made = sample(mixture.denoise, start(grid, (400, 2, 1), seeded(7)), grid, generator=seeded(8)).x
    assert_reached(mixture, made, within=within)


def test_in_few_steps_only_the_analytic_variance_is_right() -> None:
    """4 steps on Gaussian data: DDPM's small variance ends too narrow, the large one too wide; exact, no chance."""
    spread, grid = 0.5, make_grid(VP, 4, zero=False)
    first, last = (spread**2 + grid.sigmas[[0, -1]] ** 2).tolist()
    fitted = analytic({s: s**2 / (spread**2 + s**2) for s in grid.sigmas.tolist()}, posterior)
    samples = SAMPLERS["ddpm"].sample, fitted, SAMPLERS["ddpm-large"].sample
    small, right, large = (variance(sample, gaussian(spread), grid, 4, first) / last for sample in samples)
    assert small < 0.9
    assert right == pytest.approx(1)
    assert large > 1.1


def test_eta_outside_its_range_is_refused() -> None:
    with pytest.raises(SettingError, match="eta"):
        ddim(1.5)
