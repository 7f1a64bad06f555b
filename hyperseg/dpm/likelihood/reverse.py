"""One reverse step as a normal distribution: its variances, and the probability of data under the last one."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction

LEAST = 1e-6  # share of the noise that is never known

Variance = Literal["small", "large", "share", "squared", "residual"] | Tensor


def reverse_step(
    told: Prediction, x: Tensor, t: Tensor, s: Tensor | None, fade: Tensor, variance: Variance, *,
    before: float = math.inf,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The variance that a step from noise t to noise s has if the clean data are known, and the one of the model.

    "small" is the former, "large" that of the forward step, "share" lies between them where the network says, and
    "squared" and "residual" add to the former what a second head says of the clean data (SN- and NPR-DDPM). The last
    step, to no noise at all, has small = 0: "small" is then "large" too, and "share" begins at the variance of the step
    before.

    Args:
        told: of the network for x.
        x: the state at t.
        t, s: noise levels that broadcast; s None for the last step.
        fade: alpha at t divided by alpha at s.
        before: the noise level before t, for the last step.

    Raises:
        SettingError: an unknown variance, or the network does not say it.
    """
    if s is None:
        least, keep = torch.zeros_like(t), torch.ones_like(t)
    else:
        keep = 1 - (s / t) ** 2
        least = s**2 * keep
    most = (fade * t) ** 2 * (keep if s is not None else 1)
    if isinstance(variance, Tensor):
        return least, variance
    match variance:
        case "small":
            return least, least if s is not None else most
        case "large":
            return least, most
        case "share":
            low = least if s is not None else (most * (1 - (t / before) ** 2))
            u = _said(told.share, "share")
            return least, torch.exp(u * most.log() + (1 - u) * low.log())
        case "squared":
            unknown = _said(told.squared, "squared") - ((x - told.x0) / t) ** 2
            return least, least + (keep * t) ** 2 * unknown.clamp(min=LEAST)
        case "residual":
            return least, least + (keep * t) ** 2 * _said(told.residual, "residual").clamp(min=LEAST)
        case _:
            raise SettingError(
                "the variance of a step is small, large, share, squared, residual or a number for each, "
                f"got {variance!r}."
            )


def _said(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise SettingError(
            f"the variance {name!r} needs a network that says it: train one with extras={name}, or ask for small."
        )
    return value


def log_gaussian(x: Tensor, mean: Tensor, variance: Tensor, bins: int | None) -> Tensor:
    """Log density of a normal distribution at x, or log probability of x's bin of so many levels on [-1, 1].

    The bins have the half-width 1 / (bins - 1) around their levels; the two outer ones are open.

    Source: Ho et al., NeurIPS 2020, eq. 13.
    """
    std = variance.sqrt()
    if bins is None:
        return -(((x - mean) / std) ** 2) / 2 - std.log() - math.log(2 * math.pi) / 2
    half, inf = 1 / (bins - 1), torch.full_like(x, math.inf)
    right = torch.where(x > 1 - half, inf, (x + half - mean) / std)
    left = torch.where(x < half - 1, -inf, (x - half - mean) / std)
    swap = left + right > 0  # differences of a distribution function are exact in its left tail
    low, high = torch.where(swap, -right, left), torch.where(swap, -left, right)
    top = torch.special.log_ndtr(high)
    return top + torch.log1p(-torch.exp(torch.special.log_ndtr(low) - top))
