"""Log densities through the probability-flow equation, where they are known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from mixtures import Mixture, blobs, gaussian, uniform_denoiser

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.likelihood.bits import bits_per_dim, dequantise
from hyperseg.dpm.likelihood.flow import log_density
from hyperseg.dpm.schedules import SCHEDULES

ANISOTROPIC = gaussian([1.0, 0.3, 0.1, 0.03, 0.01], seed=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def worst_bits(data: Mixture, schedule: str, steps: int, **how: float) -> float:
    """Largest mean error of a dimension in bits, against the density at the least noise."""
    x, grid = data.draw(32, seeded()), make_grid(SCHEDULES[schedule], steps, zero=False)
    found = log_density(data.denoiser(), x, grid, generator=seeded(), exact=True, **how)
    truth = data.log_density(x, float(grid.sigmas[-1]))
    return float(bits_per_dim((found.nats - truth).abs(), x[0].numel()).max())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_gaussian_within_a_hundredth_of_a_bit(schedule: str) -> None:
    assert worst_bits(ANISOTROPIC, schedule, 60) < 0.01


def test_a_mixture_within_a_hundredth_of_a_bit() -> None:
    assert worst_bits(blobs(), "linear", 60) < 0.01


def test_a_normal_distribution_is_exact_to_a_thousandth() -> None:
    # one of the standard deviation that the solver is told needs hardly a step, another one some more
    for steps, told in ((10, 0.5), (100, 1.0)):
        data = gaussian([0.25] * 4)
        x, grid = data.draw(16, seeded()), make_grid(SCHEDULES["vp"], steps, zero=False)
        found = log_density(
            data.denoiser(), x, grid, generator=seeded(), sigma_data=told
        )  # any sign: the trace is even
        truth = data.log_density(x, float(grid.sigmas[-1]))
        torch.testing.assert_close(found.nats, truth, atol=1e-3, rtol=0)


def test_its_error_falls_with_the_third_power_of_the_step() -> None:
    x = ANISOTROPIC.draw(16, seeded())
    ways = [make_grid(SCHEDULES["linear"], steps, zero=False) for steps in (50, 100, 300)]
    *some, limit = (log_density(ANISOTROPIC.denoiser(), x, g, generator=seeded(), exact=True).nats for g in ways)
    errors = [float((nats - limit).abs().mean()) for nats in some]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert min(orders) > 2.6, orders


def test_the_zero_at_the_end_of_a_grid_is_left_out() -> None:
    data, schedule = blobs(), SCHEDULES["linear"]
    x = data.draw(4, seeded())
    with_zero, without = make_grid(schedule, 21), make_grid(schedule, 20, zero=False)
    found = [log_density(data.denoiser(), x, g, generator=seeded()) for g in (with_zero, without)]
    assert torch.equal(found[0].nats, found[1].nats)
    assert found[0].nfe == found[1].nfe == 21


def test_random_signs_tell_the_trace_in_the_mean() -> None:
    data = gaussian([1.0, 0.2, 0.05, 0.01, 0.5, 0.002], seed=3)
    x, grid = data.draw(3, seeded()), make_grid(SCHEDULES["linear"], 20, zero=False)
    exact = log_density(data.denoiser(), x, grid, generator=seeded(), exact=True)
    many = log_density(data.denoiser(), x, grid, generator=seeded(), probes=100)
    assert exact.error.eq(0).all()
    assert many.error.gt(0).all()
    assert ((many.nats - exact.nats).abs() < 4 * many.error).all()
    few = log_density(data.denoiser(), x.repeat(100, 1, 1), grid, generator=seeded(1), probes=4)
    spread = few.nats.reshape(100, 3).std(0)  # the error that is told is the one that is made
    torch.testing.assert_close(few.error.reshape(100, 3).square().mean(0).sqrt(), spread, rtol=0.3, atol=0)


def test_a_batch_is_its_samples_and_the_same_generator_the_same_bytes() -> None:
    data, grid = blobs(dims=4), make_grid(SCHEDULES["ve"], 12, zero=False)
    x = data.draw(8, seeded())
    each = [log_density(data.denoiser(), x[i : i + 1], grid, generator=[seeded(i)], probes=2) for i in range(8)]
    batch = log_density(data.denoiser(), x, grid, generator=[seeded(i) for i in range(8)], probes=2)
    torch.testing.assert_close(batch.nats, torch.cat([e.nats for e in each]), atol=1e-10, rtol=0)
    again = log_density(data.denoiser(), x, grid, generator=[seeded(i) for i in range(8)], probes=2)
    assert torch.equal(batch.nats, again.nats)
    assert torch.equal(batch.error, again.error)


def test_uniform_noise_of_256_levels_has_8_bits() -> None:
    levels = torch.randint(0, 256, (64, 1, 6), generator=seeded()).double() / 255 * 2 - 1
    x, grid = dequantise(levels, generator=seeded()), make_grid(SCHEDULES["edm"], 80, zero=False)
    for denoise, most in ((uniform_denoiser(), 8.1), (gaussian([1 / 3] * 6).denoiser(), 8.5)):
        found = log_density(denoise, x, grid, generator=seeded())
        bits = float(bits_per_dim(-found.nats, 6, bins=256).mean())
        assert 8 - 0.02 < bits < most  # half of the noise at the edges is outside: a little less than 1 there


def test_weights_get_no_gradients_and_the_caller_may_want_none() -> None:
    layer = torch.nn.Linear(3, 3).double()
    x, grid = torch.zeros(2, 1, 3, dtype=torch.float64), make_grid(SCHEDULES["edm"], 3, zero=False)
    with torch.no_grad():
        found = log_density(lambda x, s: Prediction(layer(x)), x, grid, generator=seeded())
    assert layer.weight.grad is None
    assert not found.nats.requires_grad


def test_what_cannot_be_done_is_refused() -> None:
    x, grid = torch.zeros(2, 1, 3, dtype=torch.float64), make_grid(SCHEDULES["edm"], 3, zero=False)
    with pytest.raises(SettingError, match="at least 1 probe"):
        log_density(uniform_denoiser(), x, grid, generator=seeded(), probes=0)
    with pytest.raises(SettingError, match="gives no gradients"):
        log_density(lambda x, s: Prediction(x.detach()), x, grid, generator=seeded())
    with pytest.raises(SettingError, match="two or more noise levels"):
        log_density(uniform_denoiser(), x, make_grid(SCHEDULES["edm"], 1), generator=seeded())
