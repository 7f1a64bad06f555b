"""One round of distillation: a student learns to make in one step what its teacher makes in several."""

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
from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.faster.target import follow, truncated_snr, wanted
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.parameterisation import parameterisation
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, step_generator, train

LEVER = 10  # most that an error of what the network says may be enlarged in the clean data


@settings
class RoundSettings:
    """How a student is trained."""

    steps: int = option(400, "Training steps.", low=1)
    batch: int = option(64, "Samples of a step.", low=1)
    lr: float = option(2e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    ema: float = option(0.98, "Decay of the moving average of the weights.", low=0, below=1)
    untold: float = option(0.1, "Share of the samples whose class is not told.", low=0, high=1)


class Drawn(NamedTuple):
    """What the host draws for a step: (B,) which samples, and (B,) the student's step."""

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
    teacher: DiffusionModel, data: Tensor, labels: Tensor | None, settings: RoundSettings, runtime: Runtime, *,
    steps: int, follows: int, name: str, title: str, begin: DiffusionModel | None = None,
) -> DiffusionModel:  # fmt: skip
    """A student that makes in each of `steps` steps what the teacher makes in `follows`.

    Args:
        teacher: its steps are DDIM's without noise, even in time.
        data: (n, C, *S) float32, to which noise is added.
        labels: (n,) classes that both are told, or None.
        settings: of the training.
        runtime: where; an unfinished training that lies there is continued.
        steps: of the student, at the times at which it is trained and asked.
        follows: the teacher's steps for each of them.
        name: of the training state's file.
        title: text of the progress bar.
        begin: with whose weights, and in which parameterisation, the student begins; None takes the teacher's.

    Source: Salimans & Ho, ICLR 2022, algorithm 2; loss weight max(SNR, 1).
    Differs: times are those of the student's own grid alone, stratified in a batch; the learning rate goes through one
        cycle; the student is the moving average of the weights.
    """
    origin = teacher if begin is None else begin
    data = data.to(runtime.device)
    network = deepcopy(origin.network).requires_grad_(True)
    student = replace(origin, network=network, raw=None, clip=None)
    phase = one_cycle(
        "distillation", _loss(student), network.parameters(), steps=settings.steps, lr=settings.lr, weight_decay=0.0,
        rise=0.2,
    )  # fmt: skip
    train(
        [phase], _draw(len(data), steps, settings.batch, runtime.seed), settings.steps, modules={"network": network},
        averages={"network": Ema(network, decay=settings.ema)}, runtime=runtime, name=name, title=title,
        make=_make(teacher, data, labels, settings.untold, steps, follows),
    )  # fmt: skip
    return replace(student, network=network.requires_grad_(False), clip=teacher.clip)


def _draw(n: int, steps: int, batch: int, seed: int) -> Callable[[int], Drawn]:
    """Samples, and steps of the student spread evenly over a batch."""

    def batches(step: int) -> Drawn:
        generator = step_generator(seed, step)
        which = torch.randint(n, (batch,), generator=generator)
        place = (torch.arange(batch) + torch.rand((), generator=generator)) / batch
        return Drawn(which, (place * steps).long().clamp(max=steps - 1))

    return batches


def _make(
    teacher: DiffusionModel, data: Tensor, labels: Tensor | None, untold: float, steps: int, follows: int
) -> Callable[[Drawn], Task]:
    sigmas = make_grid(teacher.schedule, steps * follows, "trailing").sigmas.to(data.device)
    labels = None if labels is None else labels.to(data.device, torch.long)

    @torch.no_grad()
    def make(drawn: Drawn) -> Task:
        x0 = data[drawn.which].double()
        levels = torch.stack([sigmas[drawn.at * follows + i] for i in range(follows + 1)])
        told = None
        if labels is not None:
            told = torch.where(torch.rand(len(x0), device=x0.device) < untold, -1, labels[drawn.which])
        x = x0 + per_sample(levels[0], x0) * torch.randn_like(x0)
        reached = follow(teacher.denoise(told), x, levels)
        return Task(x, levels[0], wanted(x, reached, levels[0], levels[-1]), told)

    return make


def _loss(student: DiffusionModel) -> Callable[[Any], dict[str, Tensor]]:
    def loss(task: Task) -> dict[str, Tensor]:
        said = student.differentiable(task.labels)(task.x, task.sigma).x0
        return {"square": distance(said, task.wanted, task.sigma).mean()}

    return loss


def distance(said: Tensor, aim: Tensor, sigma: Tensor) -> Tensor:
    """(B,) squared error of the clean data, weighted by noise; 0 for a perfect student."""
    return truncated_snr(sigma) * ((said - aim) ** 2).flatten(1).mean(1)


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
