"""Which noise levels a sampler visits, and how they are spaced."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Generators, noise_like
from hyperseg.dpm.schedules.schedule import Curve, Schedule

Spacing = Literal["lu", "karras", "trailing", "leading", "quadratic"]
MOST_NOISE = 160.0  # to signal; about what the linear schedule ends with


@dataclass(frozen=True, repr=False)
class Grid:
    """Noise levels from noise to data: N steps between N + 1 points.

    Attributes:
        schedule: in whose coordinates the process runs.
        sigmas: (N + 1,) float64 falling noise-to-signal ratios; the last may be 0.
        spacing: how they were chosen; "given" where somebody else did.
    """

    schedule: Schedule
    sigmas: Tensor
    spacing: str = "given"

    def __post_init__(self) -> None:
        s = self.sigmas
        if (
            s.ndim != 1
            or len(s) < 2
            or not bool((s[:-1] > s[1:]).all())
            or not 0 <= float(s[-1]) <= float(s[0]) < math.inf
        ):
            raise SettingError(
                f"a grid is two or more finite noise levels that fall, the last of them 0 or more, got {s.tolist()}."
            )

    def __repr__(self) -> str:
        levels = f"sigma from {float(self.sigmas[0]):.4g} to {float(self.sigmas[-1]):.4g}"
        return f"Grid({self.schedule.name!r}, {self.steps} steps, spacing {self.spacing!r}, {levels})"

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    @property
    def times(self) -> Tensor:
        """(N + 1,) in the schedule, within its ends."""
        return self.schedule.time(self.sigmas).clamp(self.schedule.t_min, self.schedule.t_max)

    @property
    def alphas(self) -> Tensor:
        """(N + 1,) of the data; 1 where there is no noise."""
        return torch.where(self.sigmas > 0, self.schedule.alpha(self.times), torch.ones_like(self.sigmas))

    def after(self, first: int) -> Grid:
        """The rest of the grid from point `first` on: where truncated sampling starts."""
        return replace(self, sigmas=self.sigmas[first:])

    def to(self, device: torch.device | str) -> Grid:
        return replace(self, sigmas=self.sigmas.to(device))


def make_grid(
    schedule: Schedule, steps: int, spacing: Spacing = "lu", *, first: float | None = None, last: float | None = None,
    zero: bool = True, rho: float = 7.0, on_steps: bool = False,
) -> Grid:  # fmt: skip
    """`steps` steps from the schedule's noise to data.

    "lu" is even in log(sigma), "karras" even in sigma^(1/rho), "quadratic" even in the root of time, "trailing" and
    "leading" even in time. To 0, "trailing" counts the last step as long as the others, and "leading" begins a step
    late, so that it never visits pure noise.

    Args:
        first, last: ends of the noise level; None takes the schedule's.
        zero: the last point is 0: the last step takes the clean data as they are predicted. `last` is then the point
            before it.
        rho: of "karras"; the larger, the more points at little noise.
        on_steps: only times that are whole steps of the schedule are visited.

    Raises:
        SettingError: no steps, unknown spacing, ends that do not fall or lie beyond the schedule's noise, an end that
            "trailing" cannot have, or more steps than the schedule has where `on_steps`.

    Source: Lu et al., "DPM-Solver", NeurIPS 2022 (even in log-SNR); Karras et al., NeurIPS 2022, eq. 5 (rho);
        Song et al., "Denoising Diffusion Implicit Models", ICLR 2021 (quadratic).
    """
    if steps < 1:
        raise SettingError(f"a grid has at least 1 step, got {steps}.")
    curve, back = _curve(schedule, spacing, rho)
    high, low = _ends(schedule, first, last)
    begin, end = curve(high), curve(low)
    index, intervals = torch.arange(steps if zero else steps + 1, dtype=torch.float64), steps - 1 if zero else steps
    if zero and spacing == "trailing":
        if last is not None:
            raise SettingError(
                f"steps even in time down to 0 say themselves where the last one begins, got last={last:g}: leave it "
                "out, or take another spacing."
            )
        places = begin * (1 - index / steps)
    elif zero and spacing == "leading":
        places = (end + begin * (steps - 1 - index) / steps).clamp(max=begin)
    else:
        places = begin + (end - begin) * index / max(intervals, 1)
    sigmas = back(places)
    if not (zero and spacing == "leading"):
        sigmas[0] = high  # to the last digit
    if on_steps:
        sigmas = _rounded(schedule, sigmas)
    return Grid(schedule, torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]) if zero else sigmas, spacing)


def most_noise(schedule: Schedule) -> float:
    """The noise to signal that sampling usually begins with: the schedule's, and `MOST_NOISE` at most.

    A cosine schedule ends at a noise of 20 000, and steps even in log(noise) would spend half of themselves where
    nothing is decided.
    """
    return min(float(schedule.ratio(torch.tensor(schedule.t_max, dtype=torch.float64))), MOST_NOISE)


def start(grid: Grid, shape: tuple[int, ...], generator: Generators, *, device: torch.device | str = "cpu") -> Tensor:
    """(B, C, *S) float64 noise to start from, in the coordinates of a `Denoise`."""
    like = torch.empty(shape, dtype=torch.float64, device=device)
    return start_level(grid) * noise_like(like, generator)


def start_level(grid: Grid) -> float:
    """Standard deviation of the noise to start from."""
    return float(grid.sigmas[0]) if grid.schedule.prior != 1 else 1 / float(grid.alphas[0])


def _curve(schedule: Schedule, spacing: str, rho: float) -> tuple[Curve, Curve]:
    """The function of the noise level in which points are even, and its inverse."""
    match spacing:
        case "lu":
            return torch.log, torch.exp
        case "karras":
            if not 0 < rho < math.inf:
                raise SettingError(f"rho is a number above 0, got {rho:g}.")
            return (lambda s: s ** (1 / rho)), (lambda s: s**rho)
        case "trailing" | "leading":
            return schedule.time, schedule.ratio
        case "quadratic":
            return (lambda s: schedule.time(s).sqrt()), (lambda root: schedule.ratio(root**2))
        case _:
            raise SettingError(f"the spacing is lu, karras, trailing, leading or quadratic, got {spacing!r}.")


def _ends(schedule: Schedule, first: float | None, last: float | None) -> Tensor:
    """The highest and the lowest noise level above 0."""
    own = schedule.ratio(torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64))
    high, low = own[0] if first is None else first, own[1] if last is None else last
    if not 0 < low < high <= own[0] * (1 + 1e-9):
        raise SettingError(
            f"noise falls from {float(high):g} to {float(low):g}: expected a first level above the last, the last "
            f"above 0, and none above {float(own[0]):g}, the most that the schedule {schedule.name!r} has."
        )
    return torch.tensor([high, low], dtype=torch.float64)


def _rounded(schedule: Schedule, sigmas: Tensor) -> Tensor:
    """The same points at whole steps of the schedule, no step twice."""
    n = len(schedule.step_times())
    if len(sigmas) > n:
        raise SettingError(f"{len(sigmas)} steps of a schedule of {n}: ask for {n} at most.")
    place = (schedule.time(sigmas) * n).round().clamp(1, n).long().tolist()
    for i in range(1, len(place)):  # strictly falling, ...
        place[i] = min(place[i], place[i - 1] - 1)
    for i in range(len(place) - 1, -1, -1):  # ... and none below the first step
        place[i] = max(place[i], len(place) - i)
    return schedule.ratio(torch.tensor(place, dtype=torch.float64) / n)
