"""What every sampler promises, whatever it does: its cost, its generator, its shapes, and the data it ends in."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from exact_denoisers import gaussian
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Counted, Generators, Prediction, Sampled, noise_like
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.sampler import Sample, Sampler
from hyperseg.dpm.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore:__array.*:DeprecationWarning")  # of diffusers with NumPy 2
BIAS = {"ncsn-v2": 0.2}  # few steps of Langevin at each level: too wide, less so with more of them
NAMES = list(SAMPLERS)
SHAPES = ((2, 1, 7), (2, 3, 5, 9), (1, 200, 3), (1, 1, 5, 3, 7))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid_of(sampler: Sampler, steps: int) -> Grid:
    return make_grid(SCHEDULES["linear"], steps, sampler.spacing, zero=sampler.zero, on_steps=sampler.on_steps)


@cache
def fitted(name: str, steps: int, shape: tuple[int, ...]) -> Sample:
    """The function of a sampler, fitted to Gaussian data where it has to be."""
    sampler: Sampler = SAMPLERS[name]
    if sampler.sample is not None:
        return sampler.sample
    assert sampler.fit is not None
    data = 0.3 + 0.5 * noise_like(torch.empty(500, *shape[1:], dtype=torch.float64), seeded(7))
    return sampler.fit(gaussian(mean=0.3), data, grid_of(sampler, steps), seeded(8))


def made(name: str, steps: int, shape: tuple[int, ...], noise: Generators, generator: Generators) -> Sampled:
    sampler: Sampler = SAMPLERS[name]
    grid = grid_of(sampler, steps)
    return fitted(name, steps, shape)(gaussian(mean=0.3), start(grid, shape, noise), grid, generator=generator)


def few(sampler: Sampler) -> int:
    return sampler.least + 3


@pytest.mark.parametrize("name", NAMES)
def test_its_grid_is_as_suits_it_and_costs_no_more_than_is_paid_for(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    calls = sampler.nfe(sampler.least + 3)
    for schedule in (SCHEDULES["linear"], SCHEDULES["cosine"]):
        grid = sampler.grid(schedule, calls)
        assert grid.spacing == sampler.spacing
        assert sampler.nfe(grid.steps) <= calls < sampler.nfe(grid.steps + 1)
        assert (float(grid.sigmas[-1]) == 0) == sampler.zero
        assert float(grid.sigmas[0]) < 250  # cosine alone begins at 20 000; on whole steps the nearest of 160
    if not sampler.on_steps:  # steps even in a time that is the noise would all be at much noise
        grid = sampler.grid(SCHEDULES["edm"], calls)
        assert grid.spacing == ("karras" if sampler.spacing == "trailing" else sampler.spacing)
        assert float(grid.sigmas[grid.steps // 2 + 1]) < 5
    with pytest.raises(SettingError, match="at least"):
        sampler.grid(SCHEDULES["linear"], sampler.nfe(sampler.least) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_is_described(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    assert sampler.name == name
    assert sampler.family
    assert sampler.source
    assert (sampler.sample is None) != (sampler.fit is None)
    sampler.check()


@pytest.mark.parametrize("name", NAMES)
def test_the_cost_is_what_was_called_and_what_was_said(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    for steps in (sampler.least, sampler.least + 1, few(sampler)):
        grid, shape = grid_of(sampler, steps), (2, 1, 3)
        counted = Counted(gaussian(mean=0.3))

        def denoise(x: Tensor, sigma: Tensor, counted: Counted = counted) -> object:
            assert sigma.shape == (2,)
            assert x.dtype == torch.float64
            return counted(x, sigma)

        found = fitted(name, steps, shape)(denoise, start(grid, shape, seeded(0)), grid, generator=seeded(1))  # type: ignore[arg-type]
        assert counted.calls == found.nfe == sampler.nfe(steps)
        assert sampler.steps(found.nfe) == steps
    with pytest.raises(SettingError, match="at least"):
        sampler.steps(sampler.nfe(sampler.least) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_bytes_and_the_noise_is_left_as_it_was(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    steps, shape = few(sampler), (2, 1, 3)
    grid = grid_of(sampler, steps)
    noise = start(grid, shape, seeded(0))
    before = noise.clone()
    one, other = (fitted(name, steps, shape)(gaussian(mean=0.3), noise, grid, generator=seeded(1)).x for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(noise, before)


@pytest.mark.parametrize("name", NAMES)
def test_what_would_be_stretched_or_mixed_up_unseen_is_refused(name: str) -> None:
    """A network of one channel too few, and another number of generators than of samples."""
    sampler: Sampler = SAMPLERS[name]
    grid = grid_of(sampler, max(sampler.least, 3))
    x = start(grid, (2, 2, 5), seeded(0))
    sample, exact = fitted(name, max(sampler.least, 3), (2, 2, 5)), gaussian(mean=0.3)

    def thin(x: Tensor, sigma: Tensor) -> Prediction:
        return Prediction(*(None if said is None else said[:, :1] for said in exact(x, sigma)))

    with pytest.raises(SettingError, match=r"shape \(2, 1, 5\) for a state of shape \(2, 2, 5\)"):
        sample(thin, x, grid, generator=seeded(0))
    if sampler.order is None:
        for n in (1, 3):
            with pytest.raises(SettingError, match=f"{n} generators for 2 samples"):
                sample(exact, x, grid, generator=[seeded(i) for i in range(n)])


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_eight_is_eight_singles(name: str) -> None:
    steps, shape = few(SAMPLERS[name]), (8, 2, 5)
    batch = made(name, steps, shape, [seeded(i) for i in range(8)], [seeded(100 + i) for i in range(8)]).x
    for i in range(8):
        single = made(name, steps, (1, *shape[1:]), [seeded(i)], [seeded(100 + i)]).x
        torch.testing.assert_close(single, batch[i : i + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_any_number_of_channels_and_any_odd_size(name: str) -> None:
    for shape in SHAPES:
        found = made(name, few(SAMPLERS[name]), shape, seeded(0), seeded(1)).x
        assert found.shape == shape
        assert found.dtype == torch.float64
        assert bool(found.isfinite().all())


@pytest.mark.parametrize("name", [n for n in NAMES if SAMPLERS[n].name not in ("lcm", "tcd")])
def test_gaussian_data_come_out_with_their_mean_and_spread(name: str) -> None:
    sampler: Sampler = SAMPLERS[name]
    steps = max(sampler.least, 20, (240 if sampler.order else 300) // sampler.calls)
    found = made(name, steps, (20, 200), seeded(0), seeded(1)).x
    assert float(found.mean()) == pytest.approx(0.3, abs=0.04)
    assert float(found.std()) == pytest.approx(0.5, rel=BIAS.get(name, 0.05))
