"""Both stages of latent diffusion, and samples through any sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.denoise import Generators, Sampled
from hyperseg.dpm.faster.distil import check_teacher
from hyperseg.dpm.faster.latent.autoencoder import Autoencoder, autoencoder_spec
from hyperseg.dpm.faster.latent.training import BATCH, AutoencoderSettings, rebuilding_error, train_autoencoder
from hyperseg.dpm.faster.speedup import Generate, Speedup, drawn_classes
from hyperseg.dpm.grid import start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.samplers.euler import EULER
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.training import DiffusionSettings, train_diffusion


@settings
class LatentSettings:
    """How the two stages are built and trained."""

    widths: tuple[int, ...] = option((32, 64), "Widths of the autoencoder's stages; each but the first halves.", low=2)
    channels: int = option(4, "Channels of the latent map.", low=1)
    autoencoder: AutoencoderSettings = option(AutoencoderSettings(), "Training of the autoencoder.", hides=True)
    objective: str | None = option(None, "What the denoising network learns; by default what the model says.")
    steps: int = option(1200, "Training steps of the denoising network.", low=1)
    batch: int = option(64, "Samples of a step.", low=1)
    lr: float = option(5e-3, "Largest learning rate of the one-cycle schedule.", above=0)

    def denoiser(self, like: DiffusionModel) -> DiffusionSettings:
        """How the denoising network is trained, for one that says what `like` says, in the same schedule.

        A schedule that is not in the table (learnt for other data) is left out for that of the objective.
        """
        objective, schedule = self.objective, None
        if objective is None:
            plain = (name for name in OBJECTIVES if not (OBJECTIVES[name].extras or OBJECTIVES[name].learnt))
            objective = next(name for name in plain if OBJECTIVES[name].predicts == like.predicts)
            named = like.schedule.name
            schedule = named if named in SCHEDULES and SCHEDULES[named] is like.schedule else None
        return DiffusionSettings(
            objective, schedule, steps=self.steps, batch=self.batch, lr=self.lr, keep_raw=False
        )  # fmt: skip


@dataclass(frozen=True)
class LatentModel:
    """An autoencoder and a diffusion model of its latent maps.

    Attributes:
        autoencoder: data to latent maps and back.
        model: of the latent maps.
        shape: (C, *S) of the data.
        error: root of the mean square between the training data and what the autoencoder gives back.
        clip: samples are cut to [-clip, clip], or None.
    """

    autoencoder: Autoencoder
    model: DiffusionModel
    shape: tuple[int, ...]
    error: float
    clip: float | None

    def samples(self, nfe: int, labels: Tensor | None = None, *, sampler: Sampler = EULER) -> Generate:
        """How samples are made: in the latent maps by any sampler of noise to data, then decoded.

        Args:
            nfe: calls of the denoising network; the decoder's one call is not counted.
            labels: (n,) classes among which each sample's is drawn; None tells none.

        Raises:
            SettingError: too few calls for this sampler, or one that has to be fitted first.
        """
        if sampler.sample is None:
            raise SettingError(f"{sampler.name} has to be fitted to a network before it samples: use another sampler.")
        sample, network, size = sampler.sample, self.autoencoder, self.shape[1:]
        grid = sampler.grid(self.model.schedule, nfe).to(network.mean.device)

        @torch.no_grad()
        def generate(n: int, generator: Generators) -> Sampled:
            told = None if labels is None else drawn_classes(labels, n, generator).to(network.mean.device)
            z = start(grid, (n, *network.latent_shape(size)), generator, device=network.mean.device)
            found = sample(self.model.denoise(told), z, grid, generator=generator)
            x = network.decode(found.x.float(), size).double()
            return Sampled(x if self.clip is None else x.clamp(-self.clip, self.clip), found.nfe)

        return generate


def latent_model(
    like: DiffusionModel, data: Tensor, settings: LatentSettings, runtime: Runtime, *, labels: Tensor | None = None
) -> LatentModel:
    """Train both stages, one after the other; an unfinished training is continued.

    Args:
        like: which denoising network is taken, for as many channels as the latent maps have; its weights are not read.
        data: (n, C, *S) float32.
        labels: (n,) classes that the denoising network is told, or None.

    Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
    Differs: see `Autoencoder`; latent maps are normalised channel by channel.

    Raises:
        SettingError: data or labels that the network does not fit.
    """
    check_teacher(like, data, labels)
    how = settings.denoiser(like)
    spec = autoencoder_spec(data.shape[1], data.ndim - 2, widths=settings.widths, latent=settings.channels)
    network = train_autoencoder(data, spec, settings.autoencoder, runtime)
    with torch.no_grad():
        latents = torch.cat([network.encode(part) for part in data.to(runtime.device).split(BATCH)])
    backbone = replace(like.spec.backbone, in_channels=settings.channels)
    denoiser = replace(like.spec, backbone=backbone, extras=OBJECTIVES[how.objective].extras)
    inner = train_diffusion(
        latents, denoiser, how, runtime, labels=labels, name="latent", title="denoiser of latent maps"
    )
    return LatentModel(network, inner, tuple(data.shape[1:]), rebuilding_error(network, data), like.clip)


def train_latent(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`."""
    told = labels if model.spec.n_classes else None
    both = latent_model(model, data, LatentSettings(), runtime, labels=told)
    return {nfe: both.samples(nfe, told) for nfe in LATENT.nfes}


LATENT = Speedup(
    "latent", "dimension reduction", "Rombach et al., CVPR 2022", (100, 50, 20, 10), train_latent,
    aside="is for larger pictures: of small ones the latent map is no smaller",
)  # fmt: skip
