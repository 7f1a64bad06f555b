"""Bits per dimension of held-out data: of the flow that samplers without noise follow, and of reverse steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise
from hyperseg.dpm.grid import Grid, make_grid
from hyperseg.dpm.likelihood.bits import bits_per_dim, dequantise
from hyperseg.dpm.likelihood.bound import variational_bound
from hyperseg.dpm.likelihood.flow import log_density
from hyperseg.dpm.samplers.sampler import Sampler

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel

HELD_OUT = 100  # samples whose bits are taken the mean of
FLOW_STEPS = 50


def bound_bits(
    sampler: Sampler, denoise: Denoise, held_out: Tensor, grid: Grid, *, data: Tensor, levels: int | None, seed: int,
    most: int = HELD_OUT,
) -> float | None:  # fmt: skip
    """Bits per dimension that the reverse steps of a sampler need for held-out data; None where it has no such steps.

    Args:
        sampler: its `variance` says what a step is.
        held_out: (m, C, *S) data; the first `HELD_OUT` are taken.
        grid: the sampler's own.
        data: (n, C, *S) training data, for variances that are fitted.
        levels: of the data; None for densities.
        seed: of the noise; every sampler gets the same.
        most: samples in one batch.
    """
    if sampler.variance is None or int((grid.sigmas > 0).sum()) < 2:
        return None
    x = held_out[:HELD_OUT].double()
    generator = torch.Generator(x.device).manual_seed(seed)
    given = sampler.variance
    variance = given(denoise, data, grid, torch.Generator(x.device).manual_seed(seed)) if callable(given) else given
    nats = [
        variational_bound(denoise, part, grid, generator=generator, variance=variance, bins=levels).nats
        for part in x.split(most)
    ]
    return float(bits_per_dim(torch.cat(nats).mean(), x[0].numel()))


def flow_bits(
    model: DiffusionModel, held_out: Tensor, *, levels: int | None, seed: int, most: int = HELD_OUT
) -> dict[str, float | int]:  # fmt: skip
    """Bits per dimension under the probability-flow equation: what every sampler without noise approximates.

    Predicted clean data are not cut here: the equation is that of the network alone. At most `most` samples are in one
    batch.
    """
    x = held_out[:HELD_OUT].double()
    generator = torch.Generator(x.device).manual_seed(seed)
    whole = x if levels is None else dequantise(x, generator=generator, bins=levels)
    grid = make_grid(model.schedule, FLOW_STEPS, "lu").to(x.device)
    free = replace(model, clip=None).differentiable()
    found = [
        log_density(free, part, grid, generator=generator, sigma_data=model.sigma_data) for part in whole.split(most)
    ]
    nats = torch.cat([one.nats for one in found])
    return {
        "flow": float(bits_per_dim(-nats.mean(), x[0].numel(), bins=levels)), "flow_calls": found[0].nfe, "n": len(x),
    }  # fmt: skip
