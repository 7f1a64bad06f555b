"""What a training-side speed-up is: something is trained once more, and then few network calls are enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.denoise import Generators, Sampled
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.samplers.euler import euler

Generate = Callable[[int, Generators], Sampled]
"""(n, one generator or one for each sample) -> n samples and their network calls; same generator, same bytes."""


class Train(Protocol):
    def __call__(
        self, model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
    ) -> Mapping[int, Generate]:
        """Train what the speed-up needs.

        Args:
            model: a trained diffusion model: the teacher, or what says which network and schedule to take.
            data: (n, C, *S) float32, what it was trained on.
            labels: (n,) classes where the model is told classes; samples then get classes in the proportions of these.
            runtime: where; its seed decides everything, an unfinished training is continued.

        Returns:
            How samples are made, by the number of network calls.
        """


@dataclass(frozen=True)
class Speedup:
    """A speed-up as a value.

    Attributes:
        name: as in the table.
        family: where the survey puts it.
        source: the paper.
        nfes: network calls of a sample that it offers.
        train: see `Train`.
        aside: why a comparison of all methods leaves it out unless it is named, or empty.
    """

    name: str
    family: str
    source: str
    nfes: tuple[int, ...]
    train: Train
    aside: str = ""


def generator_of(model: DiffusionModel, shape: tuple[int, ...], steps: int, labels: Tensor | None) -> Generate:
    """DDIM without noise in steps even in time: what a model, or a student of it, makes.

    Args:
        shape: (C, *S) of a sample.
        steps: network calls.
        labels: (n,) classes among which each sample's is drawn; None tells none.
    """

    def generate(n: int, generator: Generators) -> Sampled:
        device = next(model.network.parameters()).device
        grid = make_grid(model.schedule, steps, "trailing").to(device)
        told = None if labels is None else drawn_classes(labels, n, generator).to(device)
        x = start(grid, (n, *shape), generator, device=device)
        return euler(model.denoise(told), x, grid, generator=generator)

    return generate


def drawn_classes(labels: Tensor, n: int, generator: Generators) -> Tensor:
    """(n,) classes, each drawn from `labels`."""
    each = [generator] * n if isinstance(generator, torch.Generator) else list(generator)
    picks = [int(torch.randint(len(labels), (), generator=g, device=g.device)) for g in each]
    return labels[torch.tensor(picks, device=labels.device)]
