"""Guided denoisers in the hands of every sampler."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from exact_denoisers import gaussian
from guided_toys import linear_features, linear_heads, towards
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Prediction, noise_like
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.dpm.guidance.check import check_guided
from hyperseg.dpm.guidance.guide import GuidedStep, Mode, guide
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.sampler import Sample, Sampler
from hyperseg.dpm.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore:__array.*:DeprecationWarning")  # of diffusers with NumPy 2
LINEAR, NAMES, MEAN = SCHEDULES["linear"], list(SAMPLERS), 0.3
ONCE = [name for name in NAMES if SAMPLERS[name].calls == 1 and SAMPLERS[name].sample is not None]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid_of(sampler: Sampler) -> Grid:
    return make_grid(LINEAR, sampler.least + 2, sampler.spacing, zero=sampler.zero, on_steps=sampler.on_steps)


@cache
def fitted(name: str) -> Sample:
    """Fitted with the denoiser as it is: variances are the network's."""
    sampler: Sampler = SAMPLERS[name]
    if sampler.sample is not None:
        return sampler.sample
    assert sampler.fit is not None
    data = MEAN + 0.5 * noise_like(torch.empty(200, 1, 3, dtype=torch.float64), seeded(7))
    return sampler.fit(gaussian(mean=MEAN), data, grid_of(sampler), seeded(8))


def end(name: str, denoise: Denoise) -> Tensor:
    grid = grid_of(SAMPLERS[name])
    return fitted(name)(denoise, start(grid, (2, 1, 3), seeded(0)), grid, generator=seeded(1)).x


def explicit(weight: float) -> Denoise:
    """What guidance towards 1 says of Gaussian data, written out, in the mode eps."""
    exact = gaussian(mean=MEAN)

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        said, s = exact(x, sigma), sigma[:, None, None]
        by = weight * s * 0.25 / (0.25 + s**2) * (said.x0 - 1)
        assert said.squared is not None
        noise = (x - said.x0) / s
        return said._replace(x0=said.x0 - s * by, squared=said.squared + (noise + by) ** 2 - noise**2)

    return denoise


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_goes_by_guided_predictions_and_by_no_others(name: str) -> None:
    """Those that keep earlier predictions too; and without weight nothing changes, to the last bit."""
    exact, loss = gaussian(mean=MEAN), towards()
    with torch.no_grad():
        found = end(name, guide(exact, loss, 0.4, schedule=LINEAR, mode="eps"))
    torch.testing.assert_close(found, end(name, explicit(0.4)), rtol=1e-8, atol=1e-8)
    assert torch.equal(end(name, guide(exact, loss, 0.0, schedule=LINEAR)), end(name, exact))
    assert not torch.allclose(found, end(name, exact), rtol=1e-3)


def weights_of_steps(sample: Sample, grid: Grid) -> list[Tensor]:
    """(calls,) how much of every call's prediction is in the state of each call."""
    calls = len(grid.sigmas) + 1
    states: list[Tensor] = []
    spikes = 1e9 * torch.eye(calls, dtype=torch.float64)  # beside which noise that is added is nothing

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        states.append(x[0, 0].clone())
        x0 = spikes[len(states) - 1][None, None]
        return Prediction(x0, 0.5 + 0 * x0, ((x - x0) / sigma) ** 2, 0 * x0)

    sample(denoise, torch.zeros(1, 1, calls, dtype=torch.float64), grid, generator=seeded(0))
    return [state / 1e9 for state in states]


@pytest.mark.parametrize("name", ONCE)
def test_whether_a_sampler_remembers_predictions_is_as_it_says(name: str) -> None:
    """Without memory, a step leaves the same share of every earlier prediction in the state."""
    sampler: Sampler = SAMPLERS[name]
    assert sampler.sample is not None
    steps = max(sampler.least, 6)
    grid = make_grid(LINEAR, steps, "quadratic", zero=sampler.zero, on_steps=sampler.on_steps)
    states, remembers = weights_of_steps(sampler.sample, grid), False
    for now, then in pairwise(states[1:]):
        k = int(now.abs().gt(1e-6).sum())
        shares = then[:k] / now[:k]
        remembers |= k > 1 and float((shares - shares[0]).abs().max()) > 1e-4 * float(shares.abs().max()) + 1e-6
    assert remembers == sampler.memory


@pytest.mark.parametrize("name", NAMES)
def test_every_second_call_is_for_samplers_of_one_call_without_memory(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    check_guided(sampler, 1)
    if sampler.calls == 1 and not sampler.memory and sampler.saved >= 0:
        check_guided(sampler, 2)
    else:
        with pytest.raises(SettingError, match=f"{name} .*one call in 2 would mix.*every 1"):
            check_guided(sampler, 2)


def order(weight: float, loss_of: float) -> float:
    """Measured order of DDIM on Gaussian data with `loss_of` times a loss, against a method of order 4."""
    guided = guide(
        gaussian(), lambda said, sigma: loss_of * towards()(said, sigma), weight, schedule=SCHEDULES["edm"], mode="eps"
    )
    x = torch.full((1, 1), 10.0, dtype=torch.float64)

    def at(name: str, steps: int) -> float:
        grid = make_grid(SCHEDULES["edm"], steps, "karras", first=10, last=0.1, zero=False)
        return float(SAMPLERS[name].sample(guided, x, grid, generator=seeded(0)).x)

    exact = at("pf-ode", 60)
    return math.log2(abs(at("ddim", 60) - exact) / abs(at("ddim", 120) - exact))


def test_ddim_stays_of_order_one() -> None:
    """Without guidance, with a loss that is always 0, and with one that is not."""
    plain, zero, real = order(0.0, 0.0), order(1.0, 0.0), order(0.5, 1.0)
    assert plain == pytest.approx(1, abs=0.1)
    assert zero == plain
    assert real == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("sampler", "mode"), [("ddim", "mean"), ("ddpm", "mean"), ("dpmpp-2m", "mean"), ("ddim", "eps")]
)
def test_guided_trajectories_end_with_less_loss_than_their_twins(sampler: str, mode: Mode) -> None:
    """64 pairs from the same noise: what a strong and a weak head make of the end, and of the way there."""
    features = linear_features(LINEAR, torch.eye(2, dtype=torch.float64))
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    loss = GUIDANCES["dcg"].loss(linear_heads(a[0], a[1]), seeded(0))
    grid = make_grid(LINEAR, 50, "trailing")
    notes: list[GuidedStep] = []
    x = start(grid, (64, 2), [seeded(i) for i in range(64)])
    weight = 0.005 if mode == "mean" else 1.0
    noise = [[seeded(100 + i) for i in range(64)] for _ in range(2)]
    guided = guide(features, loss, weight, schedule=LINEAR, mode=mode, latest=0.8, note=notes.append)
    with_it = SAMPLERS[sampler].sample(guided, x, grid, generator=noise[0]).x
    without = SAMPLERS[sampler].sample(features, x, grid, generator=noise[1]).x
    apart = [(end[:, 0] - end[:, 1]).square() for end in (with_it, without)]
    assert float(apart[0].mean()) < 0.7 * float(apart[1].mean())
    assert int((apart[0] < apart[1]).sum()) >= 48
    assert len(notes) == 40
    assert all(isinstance(note, GuidedStep) and 0 < note.ratio < 10 and note.t <= 0.8 + 1e-6 for note in notes)
    torch.testing.assert_close(with_it[:, 0], without[:, 0], rtol=1e-6, atol=1e-9)  # what the strong head reads stays
