"""What a training of a denoising network reads at a step: drawn on the host, made on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.losses.loss import Loss
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.objectives.times import LossSizes, Times
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.engine.one_cycle import step_generator

AXES = {1: "length", 2: "rows, columns", 3: "bands, rows, columns"}  # what a message calls those of samples


class Drawn(NamedTuple):
    """What the host draws for a step: (B,) which samples, and (B,) float64 quantiles of their times."""

    which: Tensor
    quantile: Tensor


class Batch(NamedTuple):
    """What a loss reads, on the device: (B, C, *S) data and noise; (B,) times, their quantiles and weights, classes."""

    x0: Tensor
    noise: Tensor
    t: Tensor
    quantile: Tensor
    weight: Tensor | None
    labels: Tensor | None


PerSample = Callable[[Batch], Mapping[str, Tensor]]


def draw(n: int, batch: int, seed: int) -> Callable[[int], Drawn]:
    """Samples, and quantiles of times, one in each of `batch` equal parts of [0, 1).

    Differs: times of a batch are stratified, as in Kingma et al., "Variational Diffusion Models", NeurIPS 2021,
        whatever the loss: its mean is the same and varies less.
    """

    def batches(step: int) -> Drawn:
        generator = step_generator(seed, step)
        index = torch.randint(n, (batch,), generator=generator)
        within = torch.rand(batch, generator=generator, dtype=torch.float64)
        return Drawn(index, (torch.arange(batch) + within) / batch)

    return batches


def make_batch(
    data: Tensor,
    labels: Tensor | None,
    schedule: Schedule,
    times: Times,
    *,
    untold: float = 0.0,
    sizes: LossSizes | None = None,
) -> Callable[[Drawn], Batch]:
    """The device's part of a step, see `fit`: data with noise, some of their classes not told.

    Args:
        data: (n, C, *S), where the network is.
        labels: (n,) or None.
        times: the distribution that times are drawn from.
        untold: share of classes that are not told.
        sizes: where given, times are drawn in proportion to the size of the loss too.
    """
    labels = None if labels is None else labels.to(data.device, torch.long)

    def make(drawn: Drawn) -> Batch:
        x0, told, u, weight = data[drawn.which], None, drawn.quantile, None
        if labels is not None:
            hidden = torch.rand(len(x0), device=x0.device) < untold
            told = torch.where(hidden, -1, labels[drawn.which])
        if sizes is not None:
            u, weight = sizes.bend(u)
            weight = weight.float()
        return Batch(x0, torch.randn_like(x0), times(schedule, u), u, weight, told)

    return make


def terms_of(network: Denoiser, loss: Loss) -> PerSample:
    """The loss terms of a batch, (B,) each."""

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        return loss(lambda x, place: network(x, place, batch.labels), batch.x0, batch.t, batch.noise)

    return terms


def check_data(data: Tensor, spec: DenoiserSpec, labels: Tensor | None) -> None:
    """Raise SettingError unless data and labels can train the network."""
    channels, ndim = spec.backbone.in_channels, spec.backbone.conv.ndim
    axes = AXES.get(ndim, f"{ndim} more axes")
    if data.ndim != ndim + 2 or data.shape[1] != channels or not len(data) or data.dtype != torch.float32:
        raise SettingError(
            f"this network learns from float32 data (n, {channels}, {axes}), got {data.dtype} of shape "
            f"{tuple(data.shape)}."
        )
    if not bool(data.isfinite().all()):
        raise SettingError("the training data hold NaN or infinity: leave those samples out.")
    if labels is None:
        return
    if not spec.n_classes:
        raise SettingError("labels were given to a network that is told no classes: leave them out, or set n_classes.")
    whole = not labels.is_floating_point()
    if not whole or labels.shape != data.shape[:1] or not -1 <= int(labels.min()) <= int(labels.max()) < spec.n_classes:
        span = f"from {int(labels.min())} to {int(labels.max())}" if whole and labels.numel() else ""
        raise SettingError(
            f"labels are one whole number of 0 to {spec.n_classes - 1} (-1 for none) for each of {len(data)} samples, "
            f"got {labels.dtype} of shape {tuple(labels.shape)} {span}".rstrip()
            + "."
        )
