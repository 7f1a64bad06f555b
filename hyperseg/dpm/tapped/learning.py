"""Heads learn to read numbers or classes from a denoiser that does not change, on few labelled samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.batches import Drawn, draw
from hyperseg.dpm.denoise import Tapped, noise_like, per_sample
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import most_at_once
from hyperseg.dpm.objectives.times import Times
from hyperseg.dpm.parameterisation import parameterisation
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.tapped.check import check_head, check_heads, check_samples, check_target
from hyperseg.dpm.tapped.frozen import frozen
from hyperseg.dpm.tapped.head import PixelHead
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.engine.training import History


@settings
class HeadSettings:
    """How heads on a frozen denoiser are trained.

    Source: 2000 steps of Adam at 1e-3 are a reconstruction; Kim et al., arXiv 2212.08861, are not known to say.
    """

    steps: int = option(2000, "Training steps.", low=1)
    batch: int = option(16, "Samples of a step, all pixels of each.", low=1)
    lr: float = option(1e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    weight_decay: float = option(0.0, "Of AdamW.", low=0)
    rise: float = option(0.1, "Share of the steps in which the learning rate rises.", above=0, below=1)
    ema: float = option(0.99, "Decay of the moving average of the weights, which is kept; 0 for none.", low=0, below=1)


class HeadBatch(NamedTuple):
    """What heads learn from at a step: a noisy batch as the denoiser works it out, and the (B, *S) answers."""

    tapped: Tapped
    target: Tensor


def train_heads(
    model: DiffusionModel,
    heads: Mapping[str, PixelHead],
    x0: Tensor,
    target: Tensor,
    settings: HeadSettings,
    runtime: Runtime,
    *,
    latest: float = 1.0,
    noisy: bool = True,
    name: str = "heads",
    title: str = "depth heads",
) -> History:
    """Train heads in place, all in one pass, to the least absolute error or the least cross-entropy.

    The denoiser is asked without gradients, batch by batch: its features are made, read by every head, and forgotten.
    It never changes. An unfinished training at `runtime.checkpoints` is continued. Heads end in evaluation mode; they
    and the model are moved to the runtime's device.

    Args:
        model: whose decoder is read. It is told no class.
        heads: by name, which names their terms of the loss too.
        x0: (n, C, *S) float32 clean data, as the model was trained on.
        target: (n, *S) numbers, NaN where unknown, for heads of one output; or whole numbers, classes from 0 on, -1
            where unknown, for heads with an output for each class.
        settings: how.
        runtime: where; its seed decides everything but the heads' first weights.
        latest: share of the schedule's time: times are drawn evenly up to it.
        noisy: false scales data as at each time, and adds no noise, for heads that are asked without.
        name: of the training state's file.
        title: text of the progress bar.

    Returns:
        The losses, a term for each head.

    Raises:
        SettingError: data, targets, heads and times that do not go together; says which.
        TrainingError: a loss that is not finite.

    Source: Kim et al., "DAG", arXiv 2212.08861: a frozen denoiser, an absolute error, both heads trained together.
    Differs: times are drawn evenly, whole steps of a process of steps, and stratified over a batch: a reconstruction.
    """
    check_heads(heads, model.spec)
    check_samples(x0, model.spec)
    for head in heads.values():
        check_target(target, x0, head.spec.outputs)
    times, device = _times(model.schedule, latest), runtime.device
    model = model.to(device)
    x0, target = x0.to(device), target.to(device)
    for head in heads.values():
        head.to(device)

    def make(drawn: Drawn) -> HeadBatch:
        clean = x0[drawn.which]
        t = times(model.schedule, drawn.quantile.to(device))
        return HeadBatch(
            tapped_at(model, clean, torch.randn_like(clean) if noisy else torch.zeros_like(clean), t),
            target[drawn.which],
        )

    lost = _classes_lost if _whole(target) else _numbers_lost

    def loss(batch: HeadBatch) -> dict[str, Tensor]:
        return {of: lost(head(batch.tapped), batch.target) for of, head in heads.items()}

    weights = [weight for head in heads.values() for weight in head.parameters()]
    phase = one_cycle(
        "heads", loss, weights, steps=settings.steps, lr=settings.lr, weight_decay=settings.weight_decay,
        rise=settings.rise,
    )  # fmt: skip
    averages = {of: Ema(head, decay=settings.ema) for of, head in heads.items()} if settings.ema else {}
    with frozen(model.network):
        return train(
            [phase], draw(len(x0), settings.batch, runtime.seed), settings.steps, modules=heads, averages=averages,
            runtime=runtime, name=name, title=title, make=make,
        )  # fmt: skip


def read_heads(
    model: DiffusionModel, head: PixelHead, x0: Tensor, *, time: float, generator: torch.Generator | None
) -> Tensor:
    """What a head says of clean data, at one time.

    Args:
        model: whose decoder is read; it and the head are on one device, where samples are brought in batches.
        head: trained.
        x0: (n, C, *S) float32 clean data.
        time: t of the model's schedule: data are alpha(t) x0 + std(t) noise.
        generator: of the noise, on x0's device; None for data without noise, alpha(t) x0.

    Returns:
        (n, outputs, *S) float32, where x0 is: numbers, or scores of classes before any softmax.

    Raises:
        SettingError: data or a head that do not fit the model, or a time that its schedule does not have.
    """
    check_head(head, model.spec)
    check_samples(x0, model.spec)
    if not model.schedule.t_min <= time <= model.schedule.t_max:
        raise SettingError(
            f"heads are read at a time of {model.schedule.t_min:g} to {model.schedule.t_max:g} of the schedule "
            f"{model.schedule.name!r}, got {time:g}."
        )
    noise = torch.zeros_like(x0) if generator is None else noise_like(x0, generator)
    device = next(model.network.parameters()).device
    size = most_at_once(x0[0].numel(), str(device))
    told = []
    with torch.no_grad(), frozen(model.network, head):
        for clean, some in zip(x0.split(size), noise.split(size), strict=True):
            t = torch.full((len(clean),), time, dtype=torch.float64, device=device)
            told.append(head(tapped_at(model, clean.to(device), some.to(device), t)).to(x0.device))
    return torch.cat(told)


@torch.no_grad()
def tapped_at(model: DiffusionModel, x0: Tensor, noise: Tensor, t: Tensor) -> Tapped:
    """What the network works out of alpha(t) x0 + std(t) noise, without gradients.

    Args:
        model: in evaluation mode.
        x0, noise: (B, C, *S) on the network's device.
        t: (B,) float64 times of the model's schedule.
    """
    alpha, std = (per_sample(curve(t).to(x0.dtype), x0) for curve in (model.schedule.alpha, model.schedule.std))
    entered = parameterisation(model.predicts, sigma_data=model.sigma_data).input(alpha * x0 + std * noise, alpha, std)
    place = model.schedule.place(t).to(x0.dtype)
    levels, _ = model.network.features(entered, place)
    return Tapped(tuple(levels), place)


def _times(schedule: Schedule, latest: float) -> Times:
    """Times that are even up to a share `latest` of the schedule's last one."""
    end = latest * schedule.t_max
    if not schedule.t_min < end <= schedule.t_max:
        raise SettingError(
            f"heads learn at times up to a share of the schedule, above {schedule.t_min / schedule.t_max:g} and at "
            f"most 1, got latest={latest:g}."
        )

    def times(schedule: Schedule, u: Tensor) -> Tensor:
        if schedule.steps is not None:
            return ((u * (latest * schedule.steps)).floor() + 1).clamp(max=schedule.steps) / schedule.steps
        return schedule.t_min + u * (end - schedule.t_min)

    return times


def _whole(target: Tensor) -> bool:
    return not target.is_floating_point()


def _numbers_lost(said: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of (B, 1, *S) over the known pixels of (B, *S)."""
    known = target.isfinite()
    errors = (said[:, 0] - torch.where(known, target, 0)).abs()
    return torch.where(known, errors, 0).sum() / known.sum()


def _classes_lost(said: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of (B, K, *S) over the known pixels of (B, *S)."""
    return F.cross_entropy(said, target.long(), ignore_index=-1)
