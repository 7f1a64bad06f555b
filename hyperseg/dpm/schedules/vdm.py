"""VDM's schedule: any monotone gamma, learnt with the network; sigma squared is sigmoid(gamma), SNR is exp(-gamma).

Source: Kingma et al., "Variational Diffusion Models", NeurIPS 2021, section 4 and appendix: gamma from -13.3 to 5.
Differs: gamma is linear between 65 knots with positive steps, not a monotone network of 1024 units: its inverse, which
    samplers ask for, is exact and costs nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.core import SettingError
from hyperseg.dpm.schedules.schedule import Schedule, interpolated

NAME = "vdm"
LEAST = 0.01  # share of gamma's span that is spread evenly: rounding must not stop it from rising


def vdm(low: float = -13.3, high: float = 5.0) -> Schedule:
    """The schedule before anything is learnt: gamma rises evenly.

    Raises:
        SettingError: not low < high.
    """
    return interpolated(NAME, torch.tensor([low, high], dtype=torch.float64) / 2)


class LearntGamma(nn.Module):
    """gamma(t) for t in [0, 1], rising, linear between `cells` + 1 knots even in t.

    Its shape and its ends are parameters apart: the bound in continuous time depends on the ends only, so the shape is
    free to make the estimate of it vary less.

    Args:
        low, high: ends of gamma.
        learn_ends: whether the ends have gradients.

    Raises:
        SettingError: not low < high.
    """

    def __init__(self, low: float = -13.3, high: float = 5.0, *, cells: int = 64, learn_ends: bool = False) -> None:
        super().__init__()
        if not low < high:
            raise SettingError(f"gamma rises from a smaller to a larger number, got {low} to {high}.")
        self.shape = nn.Parameter(torch.zeros(cells))
        self.low = nn.Parameter(torch.tensor(low), requires_grad=learn_ends)
        self.span = nn.Parameter(torch.tensor(high - low).log(), requires_grad=learn_ends)

    def knots(self) -> Tensor:
        """(cells + 1,) float64 log noise-to-signal ratios, half of gamma."""
        steps = (1 - LEAST) * self.shape.double().softmax(0) + LEAST / len(self.shape)  # positive, and 1 in all
        risen = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
        return 0.5 * (self.low.double() + self.span.double().exp() * risen)

    def live(self) -> Schedule:
        """The schedule as it is whenever its curves are asked, with gradients."""

        def log_ratio(t: Tensor) -> Tensor:
            knots, place = self.knots(), t.double() * len(self.shape)
            left = place.detach().floor().clamp(0, len(self.shape) - 1).long()
            return knots[left] + (place - left) * (knots[left + 1] - knots[left])

        def place(t: Tensor) -> Tensor:
            knots = self.knots()
            return 1000 * (log_ratio(t) - knots[0]) / (knots[-1] - knots[0])

        return Schedule(
            NAME,
            alpha=lambda t: torch.sigmoid(-2 * log_ratio(t)).sqrt(),
            std=lambda t: torch.sigmoid(2 * log_ratio(t)).sqrt(),
            time=lambda ratio: self.schedule().time(ratio),
            t_min=0.0,
            place=place,
        )

    def schedule(self) -> Schedule:
        """The schedule as it is now, fixed."""
        return interpolated(NAME, self.knots().detach().clone())


VDM = vdm()
