"""What a sampler is: a function of one signature, what it costs, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.adapters import Extra
from hyperseg.dpm.denoise import Denoise, Generators, Sampled
from hyperseg.dpm.grid import Grid, Spacing, make_grid, most_noise
from hyperseg.dpm.jump import Variance
from hyperseg.dpm.schedules.schedule import Schedule

REMEDY = 'pip install "hyperseg[diffusion]"'


class Sample(Protocol):
    def __call__(self, denoise: Denoise, x: Tensor, grid: Grid, *, generator: Generators) -> Sampled:
        """From noise `x` (B, C, *S) at the grid's first level to clean data.

        What comes out depends on the arguments alone: the same generator, in the same state, gives the same bytes.

        Args:
            denoise: the network, see `hyperseg.dpm.denoise.Denoise`.
            x: float64, as `hyperseg.dpm.grid.start` makes it.
            grid: the noise levels to visit.
            generator: of the noise that is added on the way; one, or one for each sample.
        """


@dataclass(frozen=True)
class Sampler:
    """A sampler as a value.

    Attributes:
        name: as in the table.
        sample: the function; None where it has first to be fitted.
        family: where the survey puts it.
        source: the paper.
        calls: network calls for each step of the grid.
        saved: calls that it does without in all (negative: calls beyond).
        least: fewest steps of the grid.
        order: of convergence to the exact solution; None where noise is added on the way.
        spacing: of the grid that suits it with a network that has learnt, whose errors are large where noise is little;
            with a perfect one "lu" suits solvers of high order.
        zero: its grid ends at 0.
        memory: it keeps predictions of earlier steps.
        on_steps: it visits whole steps of a schedule of steps only.
        aside: why a comparison of all samplers leaves it out unless it is named, or empty.
        needs: what a network has to say beside its prediction, or None.
        fit: (denoise, data (n, C, *S), grid, generator) -> the function, for what has to look at network and data
            before it samples; those calls are no part of the NFE.
        package: an optional package that it needs.
        variance: of its reverse steps, as `hyperseg.dpm.likelihood.bound.variational_bound` takes it, or what finds the
            variances of a grid's levels as `fit` finds the function; None where its steps are no reverse process.
    """

    name: str
    sample: Sample | None
    family: str
    source: str
    calls: int = 1
    saved: int = 0
    least: int = 1
    order: int | None = None
    spacing: Spacing = "trailing"
    zero: bool = True
    memory: bool = False
    on_steps: bool = False
    aside: str = ""
    needs: Extra | None = None
    fit: Callable[[Denoise, Tensor, Grid, Generators], Sample] | None = None
    package: str | None = None
    variance: Variance | Callable[[Denoise, Tensor, Grid, Generators], Tensor] | None = None

    def check(self) -> None:
        """Raise SettingError, with what to do, where a package that it needs is missing; for before any long work."""
        if self.package is not None and find_spec(self.package) is None:
            raise SettingError(f"{self.name} needs the package {self.package}, which is not installed: {REMEDY}.")

    def nfe(self, steps: int) -> int:
        """Network calls of so many steps."""
        return self.calls * steps - self.saved

    def steps(self, nfe: int) -> int:
        """The most steps that so many network calls pay for.

        Raises:
            SettingError: too few calls.
        """
        found = (nfe + self.saved) // self.calls
        if found < self.least:
            raise SettingError(
                f"{self.name} needs at least {self.nfe(self.least)} network calls, got {nfe}: ask for more."
            )
        return found

    def grid(self, schedule: Schedule, nfe: int) -> Grid:
        """The steps that so many network calls pay for, spaced as suits this sampler, from `most_noise` to data.

        In a schedule whose time is the noise itself, EDM's rule ("karras") stands for steps even in time.

        Raises:
            SettingError: too few calls, or more steps than the schedule has.
        """
        spacing = "karras" if schedule.by_noise and self.spacing == "trailing" else self.spacing
        return make_grid(
            schedule, self.steps(nfe), spacing, first=most_noise(schedule), zero=self.zero, on_steps=self.on_steps
        )
