"""Bits per dimension, whole levels as continuous data, and their probability under a normal distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Generators, check_generators


def bits_per_dim(nats: Tensor, dims: int, *, bins: int | None = None) -> Tensor:
    """-log p, in nats, as bits for each dimension.

    Args:
        nats: any shape; -log p or a bound of it.
        dims: D.
        bins: None if p is a probability of whole levels, or a density that shall stay one; if p is a density on
            [-1, 1] of levels made continuous (`dequantise`), their number: a bin's width 2 / bins is counted.

    Source: Song et al., ICLR 2021: for 256 bins, bits of the density plus 7.
    """
    bits = nats / (dims * math.log(2))
    return bits if bins is None else bits + math.log2(bins / 2)


def dequantise(x: Tensor, *, generator: Generators, bins: int = 256) -> Tensor:
    """Levels -1, -1 + 2 / (bins - 1), ..., 1 as uniform noise within bins that fill [-1, 1].

    log p of the levels is at least the mean of log p of what comes out, plus the log of a bin's width.

    Raises:
        SettingError: values that are none of the levels.

    Source: Theis et al., "A note on the evaluation of generative models", ICLR 2016.
    """
    whole = levels_of(x, bins)
    return (whole + uniform_like(whole, generator)) / bins * 2 - 1


def levels_of(x: Tensor, bins: int) -> Tensor:
    """Whole numbers 0 to bins - 1 of data -1, -1 + 2 / (bins - 1), ..., 1.

    Raises:
        SettingError: fewer than two levels, or values that are none of them.
    """
    level = (x.double() + 1) / 2 * (bins - 1)
    whole = level.round()
    known = bool(((level - whole).abs() <= 1e-3).all() & (whole >= 0).all() & (whole <= bins - 1).all())
    if bins < 2 or not known:
        raise SettingError(
            f"bits of {bins} levels need data that are those levels between -1 and 1: give the number of levels "
            "they have, 2 or more, or the density of data that have none."
        )
    return whole


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


def uniform_like(x: Tensor, generator: Generators) -> Tensor:
    """Uniform noise on [0, 1) of x's shape, type and device; see `noise_like` for generators."""
    if isinstance(generator, torch.Generator):
        return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    check_generators(x, generator)
    each = zip(x, generator, strict=True)
    return torch.stack([torch.rand(s.shape, generator=g, dtype=x.dtype, device=x.device) for s, g in each])
