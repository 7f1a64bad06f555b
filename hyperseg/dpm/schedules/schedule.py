"""What a noise schedule is: how much data and how much noise there is at every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.core import SettingError

Curve = Callable[[Tensor], Tensor]


def thousand(t: Tensor) -> Tensor:
    """The usual number by which a network is told the time."""
    return 1000 * t


@dataclass(frozen=True, repr=False)
class Schedule:
    """x_t = alpha(t) x0 + std(t) noise for t from `t_min` (nearly data) to `t_max` (nearly noise), all in float64.

    Attributes:
        name: as in the table.
        alpha, std: of the data and of the noise.
        time: the inverse of std / alpha: ratio -> t.
        prior: standard deviation of x_t at `t_max`, where sampling starts.
        t_min, t_max: ends of the time.
        steps: T where the process is defined by T steps, at t = 1/T, 2/T, ..., 1; else None.
        place: t -> the number by which a network is told the time, some hundreds.
        preserving: alpha squared and std squared sum to 1.
        by_noise: the time is the noise itself, so that steps even in time would all be at much noise.
        knots: log noise-to-signal ratios that say all, see `interpolated`; None where a formula does.
    """

    name: str
    alpha: Curve
    std: Curve
    time: Curve
    prior: float = 1.0
    t_min: float = 1e-5
    t_max: float = 1.0
    steps: int | None = None
    place: Curve = thousand
    preserving: bool = False
    by_noise: bool = False
    knots: Tensor | None = None

    def __repr__(self) -> str:
        kind = "continuous" if self.steps is None else f"{self.steps} steps"
        return f"Schedule({self.name!r}, {kind}, t from {self.t_min:g} to {self.t_max:g})"

    def ratio(self, t: Tensor) -> Tensor:
        """Noise to signal, std / alpha: the `sigma` of a `Denoise`."""
        return self.std(t) / self.alpha(t)

    def alpha_at(self, ratio: Tensor, t: Tensor) -> Tensor:
        """`alpha` at the time t at which noise to signal is `ratio`, by the shorter way where there is one."""
        return (1 + ratio**2).rsqrt() if self.preserving else self.alpha(t)

    def drift(self, t: Tensor) -> Tensor:
        """f of dx = f(t) x dt + g(t) dw: the slope of log alpha."""
        return _slope(lambda s: self.alpha(s).log(), t)

    def diffusion(self, t: Tensor) -> Tensor:
        """g squared of dx = f(t) x dt + g(t) dw: the slope of std squared less 2 f std squared.

        Source: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021;
            from the two moments of a linear equation.
        """
        return (_slope(lambda s: self.std(s) ** 2, t) - 2 * self.drift(t) * self.std(t) ** 2).clamp(min=0)

    def abars(self) -> Tensor:
        """(T,) alpha squared after every step of a process of T steps.

        Raises:
            SettingError: the schedule is not one of steps.
        """
        return self.alpha(self.step_times()) ** 2

    def step_times(self) -> Tensor:
        """(T,) times 1/T to 1 of a process of T steps.

        Raises:
            SettingError: the schedule is not one of steps.
        """
        if self.steps is None:
            raise SettingError(
                f"the schedule {self.name!r} is continuous and this asks for one of steps: use linear or cosine."
            )
        return torch.arange(1, self.steps + 1, dtype=torch.float64) / self.steps


def _slope(curve: Curve, t: Tensor) -> Tensor:
    with torch.enable_grad():
        at = t.detach().double().requires_grad_()
        (slope,) = torch.autograd.grad((curve(at) + 0 * at).sum(), at)  # a curve may not depend on t
    return slope


def discrete(name: str, betas: Tensor) -> Schedule:
    """The process of T steps x_i = sqrt(1 - beta_i) x_(i-1) + sqrt(beta_i) noise; step i is at t = (i + 1) / T.

    Between the steps the logarithm of the noise-to-signal ratio is linear in time, so that networks that take any time
    and samplers that take any step can use it; before the first step it goes on as between the first two.

    Args:
        name: of the schedule.
        betas: (T,) each between 0 and 1.

    Raises:
        SettingError: fewer than two steps, or a beta that is not strictly between 0 and 1.
    """
    betas = torch.as_tensor(betas, dtype=torch.float64)
    if betas.ndim != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
        raise SettingError(
            f"schedule {name!r}: betas are two or more numbers strictly between 0 and 1, got "
            f"{_told(betas)}. A beta is the share of noise that one step adds."
        )
    abars = torch.cumprod(1 - betas, 0)
    return interpolated(name, 0.5 * ((1 - abars) / abars).log(), steps=len(betas))


def interpolated(name: str, knots: Tensor, *, steps: int | None = None) -> Schedule:
    """A variance-preserving schedule whose log noise-to-signal ratio is linear between knots, even in time up to 1.

    Args:
        name: of the schedule.
        knots: (n,) float64, rising. With `steps` the first is at t = 1/n, else at 0.
        steps: n where the process is one of steps; networks are told the step. Else they are told how far the log
            ratio has come between its ends.

    Raises:
        SettingError: knots that do not rise.
    """
    if len(knots) < 2 or not bool((knots[1:] > knots[:-1]).all()):
        raise SettingError(f"schedule {name!r}: the noise rises from knot to knot, got {knots.tolist()[:5]}, ...")
    tables = {knots.device: knots}  # by device: copied once, so that a recorded step finds them there

    def on(device: torch.device) -> Tensor:
        if device not in tables:
            tables[device] = knots.to(device)
        return tables[device]

    cells, first = len(knots) - 1, 1 if steps else 0  # knot i is at (i + first) / (cells + first)
    last = len(knots) - 2

    def log_ratio(t: Tensor) -> Tensor:
        place = t.double() * (cells + first) - first
        left = place.detach().floor().clamp(0, last).long()
        table = on(t.device)
        return table[left] + (place - left) * (table[left + 1] - table[left])

    def time(ratio: Tensor) -> Tensor:
        logs, table = ratio.double().log().contiguous(), on(ratio.device)
        left = (torch.searchsorted(table, logs) - 1).clamp(0, last)
        inside = (logs - table[left]) / (table[left + 1] - table[left])
        return (left + first + inside).clamp(min=0) / (cells + first)

    def place(t: Tensor) -> Tensor:
        return t * steps - 1 if steps else 1000 * (log_ratio(t) - low) / (high - low)

    low, high = float(knots[0]), float(knots[-1])
    return Schedule(
        name,
        alpha=lambda t: torch.sigmoid(-2 * log_ratio(t)).sqrt(),
        std=lambda t: torch.sigmoid(2 * log_ratio(t)).sqrt(),
        time=time,
        t_min=1 / steps if steps else 0.0,
        steps=steps,
        place=place,
        preserving=True,
        knots=knots,
    )


def _told(betas: Tensor) -> str:
    if betas.ndim != 1 or len(betas) < 2:
        return f"an array of shape {tuple(betas.shape)}"
    return f"{len(betas)} of {float(betas.min()):g} to {float(betas.max()):g}"
