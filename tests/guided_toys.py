"""Toys of guidance: linear features and heads over known denoisers, and small networks with heads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from exact_denoisers import gaussian
from torch import Tensor, nn

from hyperseg.dpm.denoise import Denoise, Prediction, Tapped, per_sample
from hyperseg.dpm.guidance.losses import Loss, Sources
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, DenoiserSpec, denoiser_spec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.tapped.head import PixelHead, head_spec


def linear_features(schedule: Schedule, a: Tensor, std: float = 0.5) -> Denoise:
    """Gaussian data (B, n) whose features are A x_t, (B, m)."""
    exact = gaussian(std)

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        alpha = schedule.alpha(schedule.time(sigma))
        return exact(x, sigma)._replace(features=Tapped(((per_sample(alpha, x) * x) @ a.T,), sigma))

    return denoise


def linear_heads(strong: Tensor, weak: Tensor) -> Sources:
    """Depth (B, 1) is a product with the features."""

    def head(by: Tensor) -> Callable[[Tapped], Tensor]:
        return lambda tapped: (tapped.levels[0] @ by)[:, None]

    return Sources(head(strong), head(weak))


def towards(aim: float = 1.0) -> Loss:
    """Half of ||x0 - aim||^2: with `gaussian` its gradient with respect to x is keep * (x0 - aim)."""
    return lambda said, sigma: 0.5 * (said.x0 - aim).square().flatten(1).sum(1)


def small_model(channels: int, widths: tuple[int, ...] = (4, 8), *, seed: int = 0) -> DiffusionModel:
    """An untrained denoiser of pictures that says something, in evaluation mode; its weights ask for gradients."""
    spec = denoiser_spec(channels, 2, widths=widths, cond_dim=16)
    return DiffusionModel(_lively(spec, seed), spec, SCHEDULES["linear"], "eps")


def small_sources(of: DiffusionModel, *, seed: int = 1) -> Sources:
    """Heads of the coarse and of the fine block, and a model of depth maps."""
    torch.manual_seed(seed)
    strong, weak = (PixelHead(head_spec(of.spec, taps, 1, hidden=(8, 4), cond_dim=8)) for taps in ((0, 1), (0,)))
    return Sources(strong.eval(), weak.eval(), small_model(1, seed=seed))


def _lively(spec: DenoiserSpec, seed: int) -> Denoiser:
    torch.manual_seed(seed)
    network = Denoiser(spec).eval()
    nn.init.normal_(network.last.layer.weight, std=0.3)  # type: ignore[arg-type]
    return network
