"""One reverse step between two noise levels, in the coordinates of a `Denoise`, and the variances that it may have.

Divided by alpha, a process x_t = alpha x0 + std noise only adds noise: from level s' to level s > s' normal noise of
variance s^2 - s'^2. Given x0 and the state at s, the state at s' is normal with mean x0 + (s'^2 / s^2) (x - x0) and
variance s'^2 (1 - s'^2 / s^2), which is DDPM's posterior whatever alpha is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import Grid

Variance = Literal["small", "large", "share", "squared", "residual"]
LEAST = 1e-6  # share of the noise that is never known


@dataclass(frozen=True)
class Jump:
    """A step from noise level `now` down to `then`, and the schedule's alpha at both."""

    now: float
    then: float
    alpha_now: float
    alpha_then: float

    @property
    def added(self) -> float:
        """Variance that the way up adds, s^2 - s'^2."""
        return (self.now - self.then) * (self.now + self.then)

    @property
    def posterior(self) -> float:
        """Variance of the step down given x0: DDPM's small one."""
        return self.then**2 * self.added / self.now**2

    @property
    def forward(self) -> float:
        """DDPM's large variance: what one step up adds to x_t (its beta), seen at the level below."""
        return (self.alpha_now / self.alpha_then) ** 2 * self.added


def jumps(grid: Grid) -> list[Jump]:
    """The steps of a grid, from noise to data."""
    sigmas, alphas = grid.sigmas.tolist(), grid.alphas.tolist()
    return [Jump(*four) for four in zip(sigmas, sigmas[1:], alphas, alphas[1:], strict=False)]


def optimal_variance(jump: Jump, free: float, unknown: Tensor | float) -> Tensor | float:
    """Variance of the best normal step down.

    Args:
        free: variance that the process has given x0: 0 is DDIM's, `Jump.posterior` is DDPM's.
        unknown: mean square of the noise less that of the noise that is predicted, between 0 and 1; a number, or
            (B, C, *S).

    Source: Bao et al., "Analytic-DPM", ICLR 2022, theorem 1.
    """
    return free + (jump.now - math.sqrt(jump.then**2 - free)) ** 2 * unknown


def variance_of(name: Variance, jump: Jump, x: Tensor, said: Prediction) -> Tensor | float:
    """Variance of a step of DDPM's process: a number, or (B, C, *S) where the network says it.

    "small" and "large" are DDPM's two. "share" lies between them on a log scale, where the network says. "squared" and
    "residual" add to the small one what is not known of every pixel: "squared" is the expected square of the noise,
    from which that of the predicted noise is taken off (SN-DDPM); "residual" is the expected square of what the
    predicted noise is wrong by, which stays right where that is not perfect (NPR-DDPM).

    Args:
        x: (B, C, *S) the state at `jump.now`.
        said: of the network for x.

    Raises:
        SettingError: an unknown variance, or one that the network does not say.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, section 3.2; Nichol & Dhariwal,
        "Improved Denoising Diffusion Probabilistic Models", ICML 2021, eq. 15; Bao et al., "Estimating the Optimal
        Covariance with Imperfect Mean in Diffusion Probabilistic Models", ICML 2022, theorems 3.1 and 4.1.
    """
    match name:
        case "small":
            return jump.posterior
        case "large":
            return jump.forward
        case "share":
            return between(jump.posterior, jump.forward, said)
        case "squared":
            unknown = _said(said.squared, name) - ((x - said.x0) / jump.now).square()
        case "residual":
            unknown = _said(said.residual, name)
        case _:
            raise SettingError(f"the variance of a step is {', '.join(get_args(Variance))}, got {name!r}.")
    return optimal_variance(jump, jump.posterior, unknown.clamp(min=LEAST))


def between(small: float, large: float, said: Prediction) -> Tensor:
    """(B, C, *S) the variance between two bounds, on a log scale, where the network says.

    Raises:
        SettingError: the network says no share.
    """
    return small * (large / small) ** _said(said.share, "share")


def _said(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise SettingError(
            f"the variance {name!r} needs a network with a head that says it: hyperseg.dpm.extras.add_extras(model, "
            f"data, runtime, ({name!r},)) trains one for a model that is there. Or take DDPM's variance."
        )
    return value
