"""No more samples go through the network at once than the memory of a machine bears."""

from __future__ import annotations

import torch

from hyperseg.dpm.denoise import Prediction, per_sample
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.network import CARD_VALUES, VALUES, most_at_once
from hyperseg.dpm.samplers.stochastic.ddpm import DDPM
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.recipes.bench.likelihoods import bound_bits


def test_large_pictures_are_few_at_once() -> None:
    assert most_at_once(64, "cpu") == VALUES // 64
    assert most_at_once(64, "cuda:1") == CARD_VALUES // 64
    assert most_at_once(3 * 512**2, "cpu") == 1


def test_the_bound_of_parts_is_that_of_the_whole() -> None:
    """The best denoiser of standard normal data, whose bound is the same in the mean however it is divided."""
    seen: list[int] = []

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> Prediction:
        seen.append(len(x))
        return Prediction(x / (1 + per_sample(sigma, x) ** 2))

    held_out = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    grid = make_grid(LINEAR, 10)
    whole, parts = (
        bound_bits(DDPM, denoise, held_out, grid, data=held_out, levels=None, seed=0, most=most) for most in (40, 7)
    )
    assert max(seen[-10:]) <= 7
    assert whole is not None
    assert parts is not None
    assert abs(parts - whole) < 0.02 * abs(whole)
