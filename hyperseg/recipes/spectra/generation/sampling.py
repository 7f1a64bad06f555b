"""New samples of a diffusion model, each told its class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.engine import scene_progress

TOGETHER = 256  # samples in the network at a time
LOW, HIGH = 0.01, 40.0  # noise of whitened data at which a sample ends and starts


def draw_samples(
    model: DiffusionModel, sampler: Sampler, labels: NDArray[np.int64], shape: tuple[int, ...], *, steps: int,
    seed: int, quiet: bool = True,
) -> NDArray[np.float64]:  # fmt: skip
    """One sample of `shape` (C, *S) for each of (n,) classes, -1 for none that is told.

    The same seed gives the same samples on the CPU.

    Args:
        sampler: from noise to data, deterministic or not.
        steps: of its grid.
    """
    device = next(model.network.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    grid = make_grid(model.schedule, steps, "lu", first=HIGH, last=LOW, zero=sampler.zero).to(device)
    assert sampler.sample is not None
    made: list[Tensor] = []
    with scene_progress("drawing", len(labels), quiet=quiet, unit="samples") as show:
        for first in range(0, len(labels), TOGETHER):
            told = torch.from_numpy(labels[first : first + TOGETHER]).to(device)
            noise = start(grid, (len(told), *shape), generator, device=device)
            ask = model.denoise(told if model.spec.n_classes else None)
            made.append(sampler.sample(ask, noise, grid, generator=generator).x)
            show(first + len(told), len(labels))
    return torch.cat(made).cpu().numpy()
