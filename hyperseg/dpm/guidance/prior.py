"""DPG: the depth that the strong head reads is likely to a small diffusion model of depth maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Generators, Prediction, check_generators, noise_like, per_sample
from hyperseg.dpm.guidance.losses import Guidance, Loss, Sources, features_of

LOW, HIGH, OF = 100, 600, 1000  # thousandths of the time of the depth maps' schedule


def as_picture(depth: Tensor, shrink: int = 1) -> Tensor:
    """Depth (B, 1, *S) in [0, 1] as the diffusion model of depth maps sees it: in [-1, 1], at S / shrink, by means."""
    if shrink > 1:
        depth = F.interpolate(depth, size=[max(side // shrink, 1) for side in depth.shape[2:]], mode="area")
    return 2 * depth - 1


def prior_between(low: int = LOW, high: int = HIGH) -> Callable[[Sources, Generators], Loss]:
    """||eta - eps_phi(d_tau, tau)||^2, summed over pixels: the error of the model for the strong head's depth.

    Noise eta and, for each sample, a time tau, evenly low/1000 to high/1000, are drawn at every call.

    Args:
        low, high: thousandths of the model's time; both are drawn too.

    Raises:
        SettingError: ends that are not between 1 and 1000 or fall; then, where there is no model of depth maps; when
            called, a head with more outputs than depth, or a prediction without features.

    Source: Kim et al., "DAG: Depth-Aware Guidance with Denoising Diffusion Probabilistic Models", arXiv 2212.08861, as
        secondary accounts tell it.
    Differs: the times are not known; the middle of the schedule, and a sum over pixels, are reconstructions.
    """
    if not 1 <= low <= high <= OF:
        raise SettingError(f"times of noised depth go from 1 to {OF} and rise, got {low} to {high}.")

    def made(sources: Sources, generators: Generators) -> Loss:
        if sources.prior is None:
            raise SettingError(
                "guidance by a prior of depth needs a diffusion model of depth maps: give Sources(..., prior=...)."
            )
        prior = replace(sources.prior, clip=None)  # what is cut has no gradient
        ask, schedule = prior.differentiable(), prior.schedule
        length = schedule.t_max - schedule.t_min

        def loss(said: Prediction, sigma: Tensor) -> Tensor:
            depth = as_picture(sources.strong(features_of(said)), sources.shrink).to(sigma.dtype)
            tau = _times(depth, low, high, generators) / OF
            level = schedule.ratio(schedule.t_min + length * tau if schedule.by_noise else tau)
            return prior_error(ask, depth, level, noise_like(depth, generators))

        return loss

    return made


def prior_error(ask: Denoise, depth: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """(B,) ||noise - what is said of it||^2, summed over pixels, of depth (B, 1, *S) with `level` (B,) times noise."""
    wide = per_sample(level, depth)
    error = (ask(depth + wide * noise, level).x0 - depth) / wide  # eta - (x - x0) / sigma, as x = depth + sigma eta
    return error.square().flatten(1).sum(1)


def _times(depth: Tensor, low: int, high: int, generators: Generators) -> Tensor:
    """(B,) whole numbers from low to high, float64, from the generator of each sample or one of all."""
    if isinstance(generators, torch.Generator):
        drawn = torch.randint(low, high + 1, depth.shape[:1], generator=generators, device=depth.device)
    else:
        check_generators(depth, generators)
        each = [torch.randint(low, high + 1, (1,), generator=g, device=depth.device) for g in generators]
        drawn = torch.cat(each)
    return drawn.to(depth.dtype)


DPG = Guidance("dpg", prior_between(), weighs="prior", needs_prior=True)
