"""What a network says (noise, clean data, a velocity, the score, EDM's mixture), and how x0 follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError

Predicts = Literal["eps", "x0", "v", "score", "edm"]
SIGMA_DATA = 0.5  # standard deviation of data, of EDM's mixture


@dataclass(frozen=True)
class Parameterisation:
    """How a state x_t = alpha x0 + std noise goes into a network and its answer comes out; all broadcast.

    Attributes:
        input: (x_t, alpha, std) -> what the network sees.
        x0: (x_t, answer, alpha, std) -> clean data.
        target: (x0, noise, alpha, std) -> the answer that would be right.
    """

    input: Callable[[Tensor, Tensor, Tensor], Tensor]
    x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def parameterisation(predicts: Predicts, *, sigma_data: float = SIGMA_DATA) -> Parameterisation:
    """The parameterisation called `predicts`.

    "v" is alpha noise - std x0, "score" is -noise / std; "edm" is the residual of EDM's mixture of state and answer.

    Args:
        sigma_data: standard deviation of the data; only "edm" uses it.

    Source: Salimans & Ho, "Progressive Distillation", ICLR 2022 (v); Karras et al., "Elucidating the Design Space of
        Diffusion-Based Generative Models", NeurIPS 2022, table 1 (edm).
    """
    match predicts:
        case "eps":
            return Parameterisation(
                _as_it_is,
                lambda x, out, a, s: torch.addcmul(x, s, out, value=-1) / a,
                lambda x0, noise, a, s: noise + 0 * x0,
            )
        case "x0":
            return Parameterisation(_as_it_is, lambda x, out, a, s: out + 0 * x, lambda x0, noise, a, s: x0 + 0 * noise)
        case "v":
            return Parameterisation(
                _as_it_is,
                lambda x, out, a, s: (a * x - s * out) / (a**2 + s**2),
                lambda x0, noise, a, s: a * noise - s * x0,
            )
        case "score":
            return Parameterisation(
                _as_it_is, lambda x, out, a, s: (x + s**2 * out) / a, lambda x0, noise, a, s: -noise / s + 0 * x0
            )
        case "edm":
            return _edm(sigma_data**2)
        case _:
            raise SettingError(f"a network predicts eps, x0, v, score or edm, got {predicts!r}.")


def _as_it_is(x: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
    return x


def _edm(variance: float) -> Parameterisation:
    def weights(alpha: Tensor, std: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the input, of the state in x0, of the answer in x0, for the state divided by alpha."""
        level = (std / alpha) ** 2
        total = level + variance
        return 1 / total.sqrt(), variance / total, (level * variance / total).sqrt()

    def enter(x: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        return x / alpha * weights(alpha, std)[0]

    def leave(x: Tensor, out: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        _, skip, scale = weights(alpha, std)
        return skip * x / alpha + scale * out

    def target(x0: Tensor, noise: Tensor, alpha: Tensor, std: Tensor) -> Tensor:
        _, skip, scale = weights(alpha, std)
        return (x0 - skip * (x0 + std / alpha * noise)) / scale

    return Parameterisation(enter, leave, target)
