"""Training a discriminator on few labels, the unlabelled pixels of the scene, and a generator's cubes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SettingError, Split
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import Ema, History, Phase, Precision, fit, share, training_progress
from hyperseg.gan.game import Batch, Game
from hyperseg.gan.networks import (
    Discriminator,
    GanSpec,
    Generator,
    build_discriminator,
    build_generator,
)
from hyperseg.gan.settings import FakeLogit, Norm, Variant, Weights
from hyperseg.recipes.training.network import labelled_pixels, prepare, training_steps, validator


@dataclass(frozen=True)
class GanSettings:
    """How a GAN is trained; `GanSpec` and `Weights` say what the networks and the terms of the objective are.

    Attributes:
        variant, maps, width, window, fake_logit, conditional, norm, spectral_norm, dropout: see `GanSpec`.
        weights: of the terms of the objective.
        epochs: passes over the training pixels.
        min_steps: trained at least this long, however few the labels.
        batch: labelled patches per step.
        pool_batch: pool patches, and generated ones, per step.
        lr, weight_decay: of the discriminator: peak of a one-cycle schedule (AdamW).
        generator_lr: of the generator (Adam, beta1 0.5).
        average: decay of the moving average of the discriminator, which is what predicts.
        whiten: preprocess by within-class whitening; False standardises the bands.
        noise: disturbance of every patch before the discriminator, real or generated.
        balanced: draw labelled classes with equal probability.
    """

    variant: Variant = "ss"
    maps: int = 4
    width: int = 64
    window: int = 9
    fake_logit: FakeLogit = "explicit"
    conditional: bool = False
    norm: Norm = "batch"
    spectral_norm: bool = False
    dropout: float = 0.3
    weights: Weights = field(default_factory=Weights)
    epochs: int = 10
    min_steps: int = 300
    batch: int = 32
    pool_batch: int = 16
    lr: float = 1e-3
    weight_decay: float = 1e-2
    generator_lr: float = 3e-4
    average: float = 0.98
    whiten: bool = True
    noise: SpectralNoise = field(default_factory=lambda: SpectralNoise(noise=0.3))
    balanced: bool = True

    def __post_init__(self) -> None:
        if min(self.epochs, self.min_steps) < 1 or min(self.batch, self.pool_batch) < 2:
            raise SettingError(
                "epochs and min_steps must be at least 1, batch and pool_batch at least 2: batch norm cannot "
                "normalise a single patch."
            )
        if self.weights.augment and not self.conditional:
            raise SettingError(
                "generated cubes can serve as labelled ones only where the generator was told their class: "
                "conditional=True, or weights with augment=0."
            )
        self.spec(n_features=256, n_classes=2)  # raises for sizes that cannot be

    def spec(self, *, n_features: int, n_classes: int) -> GanSpec:
        """The networks for a scene."""
        shape = {
            name: getattr(self, name)
            for name in (
                "variant", "maps", "width", "window", "fake_logit", "conditional", "norm", "spectral_norm", "dropout",
            )
        }  # fmt: skip
        return GanSpec(n_features=n_features, n_classes=n_classes, **shape)

    @property
    def twin(self) -> GanSettings:
        """The same discriminator trained on the labels alone, as the supervised twin every GAN has to beat."""
        return replace(self, weights=replace(self.weights, unlabelled=0, generated=0, agreement=0, augment=0))


def augmenting(settings: GanSettings) -> GanSettings:
    """The settings with a generator that is told the class to make, learns faster, and whose cubes are trained on.

    At the default rate the generator stays near the scene's mean spectrum, which is enough to compete with; cubes
    that stand for a class have to look like it.
    """
    weights = replace(settings.weights, augment=1.0)
    return replace(settings, conditional=True, generator_lr=2e-3, weights=weights)


def plain(settings: GanSettings) -> GanSettings:
    """The settings with a generator that is told nothing: what `augmenting` changed is as by default."""
    weights = replace(settings.weights, augment=Weights.augment)
    return replace(settings, conditional=False, generator_lr=GanSettings.generator_lr, weights=weights)


@dataclass(frozen=True)
class TrainedGan:
    """A discriminator ready to map scenes, the generator it competed with, and what reads scenes for both."""

    network: Discriminator
    generator: Generator | None
    preprocess: Preprocess
    history: History


def train_gan(
    scene: Scene,
    split: Split,
    *,
    settings: GanSettings | None = None,
    pool: NDArray[np.bool_] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    checkpoint: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    label: str = "training",
) -> TrainedGan:
    """Train a discriminator and, unless nothing but the labels counts, a generator beside it.

    Args:
        scene: with labels; the cube is held in memory once, preprocessed, on `device`.
        split: training and validation pixels; test pixels are used without their labels where the pool has them.
        settings: what to train and how.
        pool: (H, W) pixels that may be looked at without a label; None is every valid pixel of the scene, which
            makes the training transductive.
        seed, device, precision, checkpoint, resume, quiet, label: as for `train_network`.

    Raises:
        LabelError: no labels, or a pool of less than two pixels.

    Source: Zhong & Li, arXiv 1802.03495 (2018), section on semi-supervised GANs; see `hyperseg.gan.objective`.
    Differs: preprocessing by within-class whitening, spectral noise before the discriminator, balanced batches, a
    one-cycle schedule and a moving average of the discriminator that predicts are ours; so is every size.
    """
    settings = settings or GanSettings()
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels to learn from.")
    preprocess = prepare(scene, split, kind="cnn3d", whiten=settings.whiten)
    spec = settings.spec(n_features=preprocess.n_out, n_classes=scene.n_classes)
    network = build_discriminator(spec, seed=seed).to(device)
    generator = build_generator(spec, seed=seed).to(device)
    average = Ema(network, decay=settings.average)
    source = PatchSource(preprocess(scene.cube[:]), radius=network.margin, device=device)
    draw, steps = _batches(scene, split, settings, spec, source, pool=pool_mask(scene, pool), seed=seed)
    game = Game(network, generator, settings.weights, average.module, settings.noise)
    alone = settings.weights.supervised
    phases = _phases(game, settings, steps)[: 1 if alone else 2]
    modules = {"discriminator": network} | ({} if alone else {"generator": generator})
    validate = validator(average.module, source, split.val, scene.labels) if split.val.any() else None
    with training_progress(label, steps, quiet=quiet) as report:
        history = fit(
            phases, draw, steps, modules=modules, averages=[average], seed=seed, precision=precision, device=device,
            validate=validate, keep="last", validate_every=max(steps // 10, 1), checkpoint=checkpoint,
            checkpoint_every=max(steps // 5, 1), resume=resume, report=report,
        )  # fmt: skip
    network.load_state_dict(average.module.state_dict())
    return TrainedGan(network.eval(), None if alone else generator.eval(), preprocess, history)


def pool_mask(scene: Scene, pool: NDArray[Any] | None) -> NDArray[np.bool_]:
    """The pixels that may be looked at without a label.

    Raises:
        LabelError: the mask has another shape than the scene, or holds less than two valid pixels.
    """
    valid = np.ones(scene.shape, bool) if scene.valid is None else scene.valid
    if pool is None:
        return valid
    if pool.shape != scene.shape:
        raise LabelError(
            f"{scene.name}: the pool mask has shape {pool.shape}, the scene {scene.shape}: crop or resample it."
        )
    found = (pool != 0) & valid
    if np.count_nonzero(found) < 2:
        raise LabelError(
            f"{scene.name}: the pool mask holds {'one' if found.any() else 'no'} valid pixel: mark the pixels to "
            "learn from, 2 or more, with 1, or leave --pool out to use the whole scene."
        )
    return found


def _phases(game: Game, settings: GanSettings, steps: int) -> list[Phase]:
    """Discriminator first, then generator."""
    ours, theirs = (list(net.parameters()) for net in (game.discriminator, game.generator))
    optimizer = torch.optim.AdamW(ours, lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    opposed = torch.optim.Adam(theirs, lr=settings.generator_lr, betas=(0.5, 0.999))
    return [
        Phase("discriminator", game.discriminate, optimizer, clip=5.0, scheduler=schedule),
        Phase("generator", game.generate, opposed),
    ]


def _batches(
    scene: Scene,
    split: Split,
    settings: GanSettings,
    spec: GanSpec,
    source: PatchSource,
    *,
    pool: NDArray[np.bool_],
    seed: int,
) -> tuple[Callable[[int], Batch], int]:
    """The batch of a step, a pure function of (seed, step), and the number of steps."""
    assert scene.labels is not None
    pixels, targets = labelled_pixels(split.train, scene.labels, source.device)
    places = torch.from_numpy(np.argwhere(pool))
    batch, drawn_pool = min(settings.batch, len(targets)), min(settings.pool_batch, len(places))
    counts = torch.bincount(targets.cpu(), minlength=scene.n_classes).double()
    rare = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)  # a class without labels is never told

    def draw(step: int) -> Batch:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        classes = targets.cpu() if settings.balanced else None
        chosen = draw_pixels(len(targets), batch=batch, step=step, seed=seed, balanced=classes)
        # labelled patches first: what the pool draws must not change what the supervised twin is trained on
        first = torch.randint(0, 8, (len(chosen),), generator=generator)
        others = torch.randint(0, len(places), (drawn_pool,), generator=generator)
        second = torch.randint(0, 8, (drawn_pool,), generator=generator)
        codes = torch.randn(drawn_pool, spec.noise, generator=generator)
        told = torch.multinomial(rare, drawn_pool, replacement=True, generator=generator)
        chosen, first, others, second, codes, told = map(share, (chosen, first, others, second, codes, told))
        return Batch(
            source.gather(pixels[chosen.to(source.device)], first), targets[chosen.to(source.device)],
            source.gather(places[others], second), codes.to(source.device),
            told.to(source.device) if spec.conditional else None,
        )  # fmt: skip

    return draw, training_steps(settings.epochs, settings.min_steps, batch, len(targets))
