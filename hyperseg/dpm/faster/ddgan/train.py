"""Training of a denoising diffusion GAN, and samples from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.denoise import Generators, Sampled, noise_like, per_sample
from hyperseg.dpm.faster.ddgan.game import Batch, Game
from hyperseg.dpm.faster.ddgan.networks import Discriminator, Generator
from hyperseg.dpm.faster.ddgan.step import pair, posterior
from hyperseg.dpm.faster.distil import check_teacher
from hyperseg.dpm.faster.speedup import Generate, Speedup, drawn_classes
from hyperseg.dpm.grid import Grid, make_grid, start
from hyperseg.dpm.model import DiffusionModel
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import step_generator, train
from hyperseg.engine.step.adam import AdamW
from hyperseg.engine.training import Phase


@settings
class GameSettings:
    """How the two networks are trained."""

    calls: int = option(4, "Steps of the process, and network calls of a sample; 2 to 8 are usual.", low=1)
    steps: int = option(1500, "Training steps.", low=1)
    batch: int = option(64, "Samples of a step.", low=1)
    codes: int = option(32, "Length of the generator's code.", low=1)
    lr: float = option(1e-3, "Learning rate of the generator.", above=0)
    judge_lr: float = option(1e-3, "Learning rate of the discriminator.", above=0)
    penalty: float = option(0.05, "Weight of the squared gradient at real pairs (R1).", low=0)
    ema: float = option(0.99, "Decay of the moving average of the generator's weights.", low=0, below=1)


class Drawn(NamedTuple):
    """What the host draws for a step: (B,) which samples, and (B,) steps of the process."""

    which: Tensor
    at: Tensor


@dataclass(frozen=True)
class Steps:
    """The process's levels on a device, and what the networks are told there: each (T + 1,), from noise to data."""

    grid: Grid
    sigmas: Tensor
    scales: Tensor
    places: Tensor

    @classmethod
    def of(cls, model: DiffusionModel, calls: int, device: Any) -> Steps:
        grid = make_grid(model.schedule, calls, "trailing")
        places = model.schedule.place(grid.times)
        return cls(grid.to(device), grid.sigmas.to(device), grid.alphas.to(device), places.float().to(device))


def train_game(
    model: DiffusionModel, data: Tensor, settings: GameSettings, runtime: Runtime, *, labels: Tensor | None = None
) -> Generator:
    """The generator of few large steps, on the network and schedule of `model`; its weights are averaged.

    Args:
        model: says which network and schedule; its weights are not read.
        data: (n, C, *S) float32.
        labels: (n,) classes that both networks are told, or None.

    Source: Xiao et al., "Tackling the Generative Learning Trilemma with Denoising Diffusion GANs", ICLR 2022.
    Differs: group norms, the penalty at every step, no statistics of the batch for the discriminator.

    Raises:
        SettingError: data or labels that the model does not know.
    """
    check_teacher(model, data, labels)
    data = data.to(runtime.device)
    with seeded(runtime.seed):
        generator = Generator(model.spec, settings.codes).to(runtime.device)
        judge = Discriminator(model.spec).to(runtime.device)
    game = Game(generator, judge, settings.penalty)
    betas = (0.5, 0.9)
    phases = [
        Phase("discriminator", game.discriminate, AdamW(judge.parameters(), lr=settings.judge_lr, betas=betas)),
        Phase("generator", game.generate, AdamW(generator.parameters(), lr=settings.lr, betas=betas)),
    ]
    train(
        phases, _draw(len(data), settings, runtime.seed), settings.steps,
        modules={"discriminator": judge, "generator": generator},
        averages={"generator": Ema(generator, decay=settings.ema)}, runtime=runtime, name=f"game-{settings.calls}",
        title=f"game of {settings.calls} steps", make=_make(model, data, labels, settings),
    )  # fmt: skip
    return generator


def _draw(n: int, settings: GameSettings, seed: int) -> Callable[[int], Drawn]:
    def batches(step: int) -> Drawn:
        generator = step_generator(seed, step)
        which = torch.randint(n, (settings.batch,), generator=generator)
        place = (torch.arange(settings.batch) + torch.rand((), generator=generator)) / settings.batch
        return Drawn(which, (place * settings.calls).long().clamp(max=settings.calls - 1))

    return batches


def _make(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, settings: GameSettings
) -> Callable[[Drawn], Batch]:
    steps = Steps.of(model, settings.calls, data.device)
    sigmas, scales = steps.sigmas.float(), steps.scales.float()
    labels = None if labels is None else labels.to(data.device, torch.long)

    def make(drawn: Drawn) -> Batch:
        x0, at = data[drawn.which], drawn.at
        now, then = sigmas[at], sigmas[at + 1]
        before, x = pair(x0, now, then, (torch.randn_like(x0), torch.randn_like(x0)))
        codes = torch.randn(len(x0), settings.codes, device=x0.device)
        told = None if labels is None else labels[drawn.which]
        sizes = torch.stack([scales[at + 1], scales[at]])
        return Batch(before, x, now, then, sizes, steps.places[at], codes, torch.randn_like(x0), told)

    return make


def game_samples(
    generator: Generator, model: DiffusionModel, shape: tuple[int, ...], calls: int, labels: Tensor | None
) -> Generate:
    """How samples (C, *S) = `shape` are made: at each level clean data from a fresh code, then one step back."""

    @torch.no_grad()
    def generate(n: int, seeds: Generators) -> Sampled:
        steps = Steps.of(model, calls, next(generator.parameters()).device)
        told = None if labels is None else drawn_classes(labels, n, seeds).to(steps.sigmas.device)
        x = start(steps.grid, (n, *shape), seeds, device=steps.sigmas.device)
        for i in range(calls):
            codes = noise_like(x.new_empty(n, generator.codes), seeds)
            now, then = (steps.sigmas[j].expand(n) for j in (i, i + 1))
            seen = (per_sample(steps.scales[i].expand(n), x) * x).float()
            x0 = generator(seen, steps.places[i].expand(n), codes.float(), told).double()
            mean, std = posterior(x, x0 if model.clip is None else x0.clamp(-model.clip, model.clip), now, then)
            x = mean + std * noise_like(x, seeds)
        return Sampled(x, calls)

    return generate


def train_ddgan(model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`."""
    settings = GameSettings()
    told = labels if model.spec.n_classes else None
    generator = train_game(model, data, settings, runtime, labels=told)
    return {settings.calls: game_samples(generator, model, tuple(data.shape[1:]), settings.calls, told)}


DDGAN = Speedup(
    "ddgan", "mixed modelling: adversarial", "Xiao et al., ICLR 2022", (GameSettings().calls,), train_ddgan,
    aside="needs hours, and is far behind after the minutes that others take",
)  # fmt: skip
