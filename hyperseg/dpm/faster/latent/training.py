"""Training of the autoencoder, and how far what it gives back is from the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.faster.latent.autoencoder import Autoencoder, AutoencoderSpec
from hyperseg.engine.one_cycle import step_generator, train_one_cycle

BATCH = 256  # samples at a time where nothing is learnt


@settings
class AutoencoderSettings:
    """How an autoencoder is trained."""

    steps: int = option(600, "Training steps.", low=1)
    batch: int = option(64, "Samples of a step.", low=1)
    lr: float = option(3e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    divergence: float = option(1e-4, "Weight of the Kullback-Leibler divergence from N(0, 1), per value.", low=0)


def train_autoencoder(
    data: Tensor, spec: AutoencoderSpec, settings: AutoencoderSettings, runtime: Runtime
) -> Autoencoder:
    """An autoencoder whose latent maps of the data have mean 0 and variance 1 in every channel.

    Args:
        data: (n, C, *S) float32.

    Raises:
        SettingError: data of other channels or axes.
    """
    backbone = spec.backbone
    if data.ndim != backbone.conv.ndim + 2 or data.shape[1] != backbone.in_channels or not len(data):
        raise SettingError(
            f"this autoencoder reads data (n, {backbone.in_channels}, and {backbone.conv.ndim} more axes), got shape "
            f"{tuple(data.shape)}."
        )
    data = data.to(runtime.device)
    with seeded(runtime.seed):
        network = Autoencoder(spec).to(runtime.device)
    train_one_cycle(
        {"autoencoder": network}, _loss(network, settings.divergence), _draw(len(data), settings, runtime.seed),
        steps=settings.steps, lr=settings.lr, weight_decay=0.0, runtime=runtime, name="autoencoder",
        title="autoencoder", make=lambda which: data[which],
    )  # fmt: skip
    with torch.no_grad():
        codes = torch.cat([network.code(part).mean for part in data.split(BATCH)])
        axes = [0, *range(2, codes.ndim)]
        network.mean.copy_(codes.mean(axes, keepdim=True))
        network.spread.copy_(codes.std(axes, keepdim=True).clamp(min=1e-6))
    return network.requires_grad_(False)


@torch.no_grad()
def rebuilding_error(network: Autoencoder, data: Tensor) -> float:
    """Root of the mean square between (n, C, *S) data and what comes back, in the data's unit."""
    shape = data.shape[2:]
    squares = [((network.decode(network.encode(part), shape) - part) ** 2).flatten(1).mean(1)
               for part in data.to(network.mean.device).split(BATCH)]  # fmt: skip
    return float(torch.cat(squares).mean().sqrt())


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, exp(logvar)) from N(0, 1), the mean over all values, in nats."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()


def _draw(n: int, settings: AutoencoderSettings, seed: int) -> Callable[[int], Tensor]:
    def batches(step: int) -> Tensor:
        return torch.randint(n, (settings.batch,), generator=step_generator(seed, step))

    return batches


def _loss(network: Autoencoder, weight: float) -> Callable[[Any], dict[str, Tensor]]:
    def loss(x: Tensor) -> dict[str, Tensor]:
        mean, logvar = network.code(x)
        code = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        back = network.rebuild(code, x.shape[2:])
        return {"square": ((back - x) ** 2).mean(), "divergence": weight * divergence(mean, logvar)}

    return loss
