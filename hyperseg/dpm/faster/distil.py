"""Distillation: a student learns to make in one step what its teacher makes in several, from the teacher's paths."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.faster.paths import Paths
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.parameterisation import parameterisation
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, step_generator, train

LEVER = 10  # most that an error of what the network says may be enlarged in the clean data


@settings
class RoundSettings:
    """How a student is trained."""

    steps: int = option(300, "Training steps for each step of the student.", low=1)
    batch: int = option(128, "Samples of a step.", low=1)
    lr: float = option(6e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    ema: float = option(0.99, "Decay of the moving average of the weights.", low=0, below=1)


class Drawn(NamedTuple):
    """What the host draws for a step: (B,) which paths, and (B,) the student's step."""

    which: Tensor
    at: Tensor


class Task(NamedTuple):
    """What the student is asked, on the device.

    Attributes:
        x: (B, C, *S) float64 at the noise levels `sigma` (B,).
        wanted: the clean data it should say.
        labels: (B,) or None.
    """

    x: Tensor
    sigma: Tensor
    wanted: Tensor
    labels: Tensor | None


def distilled(
    begin: DiffusionModel, paths: Paths, settings: RoundSettings, runtime: Runtime, *, name: str, title: str
) -> DiffusionModel:
    """A student that makes one step from each level of the paths to the next.

    Args:
        begin: with whose weights, and in which parameterisation, the student begins.
        paths: of the teacher; the student is asked at their levels only.
        settings: of the training.
        runtime: where; an unfinished training that lies there is continued.
        name: of the training state's file.
        title: text of the progress bar.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022, algorithm 2;
        Luhman & Luhman, "Knowledge Distillation in Iterative Generative Models", 2021, for paths from pure noise.
    Differs: the states are those of paths that the teacher walked once, not data with fresh noise, so that its calls
        are not most of the work; the absolute error instead of the square (see `distance`); late steps, which are
        harder, are drawn more often; one cycle of the learning rate; the student is an average of its weights.
    """
    network = deepcopy(begin.network).requires_grad_(True)
    student = replace(begin, network=network, raw=None, clip=None)
    steps, n = len(paths.states) - 1, paths.states.shape[1]
    long = settings.steps * steps
    phase = one_cycle(
        "distillation", _loss(student), network.parameters(), steps=long, lr=settings.lr, weight_decay=0.0, rise=0.2
    )  # fmt: skip
    train(
        [phase], _draw(n, steps, settings.batch, runtime.seed), long, modules={"network": network},
        averages={"network": Ema(network, decay=settings.ema)}, runtime=runtime, name=name, title=title,
        make=_make(paths),
    )  # fmt: skip
    return replace(student, network=network.requires_grad_(False), clip=begin.clip)


def _draw(n: int, steps: int, batch: int, seed: int) -> Callable[[int], Drawn]:
    """Paths, and steps of the student in fixed shares of a batch: 1 : 2 : 3 : ... from noise to data."""
    ends = torch.arange(1, steps).cumsum(0) * 2 / (steps * (steps + 1))

    def batches(step: int) -> Drawn:
        generator = step_generator(seed, step)
        which = torch.randint(n, (batch,), generator=generator)
        place = (torch.arange(batch) + torch.rand((), generator=generator)) / batch
        return Drawn(which, torch.bucketize(place, ends, right=True))

    return batches


def _make(paths: Paths) -> Callable[[Drawn], Task]:
    aims = paths.aims()

    def make(drawn: Drawn) -> Task:
        which, at = drawn
        told = None if paths.labels is None else paths.labels[which]
        return Task(paths.states[at, which].double(), paths.sigmas[at], aims[at, which].double(), told)

    return make


def _loss(student: DiffusionModel) -> Callable[[Any], dict[str, Tensor]]:
    def loss(task: Task) -> dict[str, Tensor]:
        said = student.differentiable(task.labels)(task.x, task.sigma).x0
        return {"distance": distance(said, task.wanted).mean()}

    return loss


def distance(said: Tensor, aim: Tensor) -> Tensor:
    """(B,) mean absolute error of the clean data; 0 for a perfect student.

    Where paths part, a network that is too small to say which one it is on takes their mean with a square, which is a
    blurred sample, and one of them with the absolute error.
    """
    return (said - aim).abs().flatten(1).mean(1)


def beginner(model: DiffusionModel) -> DiffusionModel:
    """What a student begins as: its teacher, or where that says noise its weights read as v.

    Who says noise cannot say clean data from pure noise, where they are a small difference of large numbers. Where
    there is little noise v is the noise, so the teacher's weights are nearly right there.
    """
    schedule, form = model.schedule, parameterisation(model.predicts, sigma_data=model.sigma_data)
    end = torch.tensor(schedule.t_max, dtype=torch.float64)
    nothing, one = torch.zeros(2, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    first, then = form.x0(nothing, one, schedule.alpha(end), schedule.std(end)).tolist()
    return model if abs(then - first) <= LEVER else replace(model, predicts="v")


def check_teacher(model: DiffusionModel, data: Tensor, labels: Tensor | None) -> None:
    """Raise SettingError unless this model can teach on these data."""
    backbone = model.spec.backbone
    if data.ndim != backbone.conv.ndim + 2 or data.shape[1] != backbone.in_channels or not len(data):
        raise SettingError(
            f"the model knows data (n, {backbone.in_channels}, and {backbone.conv.ndim} more axes), got shape "
            f"{tuple(data.shape)}."
        )
    if labels is not None and (not model.spec.n_classes or labels.shape != data.shape[:1]):
        raise SettingError(
            f"labels are one for each of {len(data)} samples, for a model that is told classes: got "
            f"{tuple(labels.shape)} for a model of {model.spec.n_classes} classes. Leave them out."
        )
