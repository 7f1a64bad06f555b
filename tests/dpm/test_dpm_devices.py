"""Samplers where another device works: no step waits for it, and what a card says is what the CPU says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from taped import WAITING
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.likelihood.bound import continuous_bound, variational_bound
from hyperseg.dpm.likelihood.flow import log_density
from hyperseg.dpm.network import denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.training import DiffusionSettings, train_diffusion

OWN = [name for name in SAMPLERS if SAMPLERS[name].package is None]
LINEAR = SCHEDULES["linear"]
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class Waits(TorchDispatchMode):
    """Counts what would wait for a device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in WAITING
        return func(*args, **(kwargs or {}))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def say_all(x: Tensor, sigma: Tensor) -> Prediction:
    answer = denoiser(lambda state, place: 0.5 * state, LINEAR)(x, sigma).x0
    half = torch.full_like(x, 0.5)
    return Prediction(answer, half, half, half)


@pytest.mark.parametrize("name", OWN)
def test_no_step_of_a_sampler_waits(name: str) -> None:
    """As many waits for 3 steps as for 5: those that prepare the grid."""
    counts = []
    for steps in (3, 5):
        sampler = SAMPLERS[name]
        grid = make_grid(LINEAR, steps, sampler.spacing)
        x = start(grid, (2, 1, 3), seeded(0))
        sample = sampler.sample or sampler.fit(say_all, torch.randn(8, 1, 3, generator=seeded(1)), grid, seeded(2))
        with Waits() as waits:
            sample(say_all, x, grid, generator=seeded(3))
        counts.append(waits.count)
    assert counts[0] == counts[1]


def test_no_level_of_a_likelihood_waits() -> None:
    x = torch.zeros(2, 1, 3, dtype=torch.float64)
    for ask in (variational_bound, continuous_bound):
        counts = []
        for steps in (4, 9):
            grid = make_grid(LINEAR, steps)
            with Waits() as waits:
                ask(say_all, x, grid, generator=seeded(0))
            counts.append(waits.count)
        assert counts[0] == counts[1], ask


@pytest.mark.gpu
@CUDA
def test_what_was_trained_on_a_card_is_sampled_there_as_on_the_cpu() -> None:
    data = torch.rand(64, 1, 8, 8, generator=seeded(0)) * 2 - 1
    spec = denoiser_spec(1, 2, widths=(8, 16), cond_dim=16)
    model = train_diffusion(data, spec, DiffusionSettings(steps=20, batch=16), Runtime(0, "cuda", quiet=True))
    assert {p.device.type for p in model.network.parameters()} == {"cuda"}
    grid = make_grid(model.schedule, 8)
    x = start(grid, (4, 1, 8, 8), seeded(1))
    found = {}
    for device in ("cuda", "cpu"):
        there = model.to(device)
        for name in ("ddim", "heun", "dpmpp-2m"):
            made = SAMPLERS[name].sample(there.denoise(), x.to(device), grid.to(device), generator=seeded(2))
            assert made.x.device.type == device
            found[name, device] = made.x.cpu()
        some, noise = data[:4].double().to(device), torch.Generator(device).manual_seed(3)
        on = grid.to(device)
        for ask in (variational_bound, continuous_bound):
            assert ask(there.denoise(), some, on, generator=noise).nats.device.type == device
        exact = log_density(there.differentiable(), some[:1], on, generator=noise, exact=True)
        found["flow", device] = exact.nats.cpu()
    for (name, device), values in found.items():
        torch.testing.assert_close(values, found[name, "cpu"], rtol=1e-3, atol=1e-3, msg=f"{name} on {device}")
