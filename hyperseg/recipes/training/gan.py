"""Training a discriminator on few labels, the unlabelled pixels of the scene, and a generator's cubes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.engine import Ema, Phase, share
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.engine.step.adam import AdamW
from hyperseg.gan.game import Batch, Game
from hyperseg.gan.networks import GanSpec, build_discriminator, build_generator
from hyperseg.gan.settings import Weights
from hyperseg.recipes.methods.network import whitened
from hyperseg.recipes.methods.twin import DiscriminatorSettings, describe
from hyperseg.recipes.training.generated import tell_generated
from hyperseg.recipes.training.model import NetworkModel
from hyperseg.recipes.training.network import labelled_pixels, patch_source, training_steps, validator

if TYPE_CHECKING:
    from hyperseg.recipes.methods.gan import GanSettings

ALONE = Weights(unlabelled=0, generated=0, agreement=0, augment=0)  # nothing but the labels counts


def train_gan(
    task: Task,
    settings: DiscriminatorSettings,
    runtime: Runtime,
    *,
    name: str,
    title: str = "",
    game: GanSettings | None = None,
) -> NetworkModel:
    """Train a discriminator and, unless nothing but the labels counts, a generator beside it.

    The cube is held in memory once, preprocessed, on the device.

    Args:
        task: training and validation pixels, and the pool that may be looked at without labels; test pixels are used
            without their labels where the pool has them: by default it is the whole scene, which makes the training
            transductive.
        settings: of the discriminator.
        runtime: where; an unfinished training that lies there is continued.
        name: of the model; `title` is the text of the progress bar, by default the same.
        game: what counts beside the labels, and the generator; None is the supervised twin.

    Source: Zhong & Li, arXiv 1802.03495 (2018), section on semi-supervised GANs; see `hyperseg.gan.objective`.
    Differs: preprocessing by within-class whitening, spectral noise before the discriminator, balanced batches, a
    one-cycle schedule and a moving average of the discriminator that predicts are ours; so is every size.
    """
    weights = ALONE if game is None else game.weights
    alone, seed, device = weights.supervised, runtime.seed, runtime.device
    preprocess = whitened(task, settings)
    conditional = game is not None and game.conditional
    spec = describe(preprocess.n_out, task.n_classes, settings, conditional=conditional)
    network = build_discriminator(spec, seed=seed).to(device)
    generator = build_generator(spec, seed=seed).to(device)
    average = Ema(network, decay=settings.average)
    source = patch_source(task, preprocess, network, runtime)
    n_pool = 0 if game is None else game.pool_batch
    draw, make, steps = game_batches(task, settings, spec, source, n_pool=n_pool, seed=seed)
    sides = Game(network, generator, weights, average.module, settings.noise)
    phases = [
        one_cycle(
            "discriminator", sides.discriminate, network.parameters(), steps=steps, lr=settings.lr,
            weight_decay=settings.weight_decay, rise=0.2,
        )
    ]  # fmt: skip
    modules: dict[str, torch.nn.Module] = {"discriminator": network}
    if game is not None and not alone:
        opposed = AdamW(generator.parameters(), lr=game.generator_lr, betas=(0.5, 0.999))
        phases.append(Phase("generator", sides.generate, opposed))
        modules["generator"] = generator
    history = train(
        phases, draw, steps, make=make, modules=modules, averages={"discriminator": average}, runtime=runtime,
        name=name, title=title or name, validate=validator(average.module, source, task),
    )  # fmt: skip
    model = partial(NetworkModel, name, network, spec, preprocess, task.n_classes, history, settings.flips)
    if alone:
        return model()
    return model({"generator": generator}, tell=partial(tell_generated, pools=task.pools))


class Drawn(NamedTuple):
    """What the host draws for a step; this process's share of it.

    Attributes:
        labelled, turns: (B,) training pixels and orientations.
        pool, pool_turns: (U,) pixels of the pool and orientations; U is 0 where no pool is looked at.
        codes: (U, noise) of the generator.
        told: (U,) classes a conditional generator is told, else None.
    """

    labelled: Tensor
    turns: Tensor
    pool: Tensor
    pool_turns: Tensor
    codes: Tensor
    told: Tensor | None


def game_batches(
    task: Task, settings: DiscriminatorSettings, spec: GanSpec, source: PatchSource, *, n_pool: int, seed: int
) -> tuple[Callable[[int], Drawn], Callable[[Drawn], Batch], int]:
    """What is drawn in a step, a pure function of (seed, step); the batch made of it; and the number of steps."""
    pixels, targets = labelled_pixels(task, "train", source.device)
    places = torch.from_numpy(pool_of(task)).to(source.device)
    batch, drawn_pool = min(settings.batch, len(targets)), min(n_pool, len(places))
    classes = targets.cpu()
    counts = torch.bincount(classes, minlength=task.n_classes).double()
    rare = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)  # a class without labels is never told
    none, nothing = torch.empty(0, dtype=torch.long), torch.empty(0)  # the twin looks at no pool

    def draw(step: int) -> Drawn:
        generator = step_generator(seed, step)
        balanced = classes if settings.balanced else None
        chosen = draw_pixels(len(targets), batch=batch, step=step, seed=seed, balanced=balanced)
        # labelled patches first: what the pool draws must not change what the supervised twin is trained on
        turns = torch.randint(0, source.orientations, (len(chosen),), generator=generator)
        labelled = share(chosen), share(turns)
        if not drawn_pool:
            return Drawn(*labelled, none, none, nothing, None)
        others = torch.randint(0, len(places), (drawn_pool,), generator=generator)
        turns = torch.randint(0, source.orientations, (drawn_pool,), generator=generator)
        codes = torch.randn(drawn_pool, spec.noise, generator=generator)
        told = torch.multinomial(rare, drawn_pool, replacement=True, generator=generator)
        shared = (share(others), share(turns), share(codes))
        return Drawn(*labelled, *shared, share(told) if spec.conditional else None)

    def make(drawn: Drawn) -> Batch:
        labelled = source.gather(pixels[drawn.labelled], drawn.turns)
        pool = source.gather(places[drawn.pool], drawn.pool_turns) if drawn_pool else drawn.codes
        return Batch(labelled, targets[drawn.labelled], pool, drawn.codes, drawn.told)

    return draw, make, training_steps(settings.epochs, settings.min_steps, batch, len(targets))


def pool_of(task: Task) -> NDArray[np.int64]:
    """(n, 1 + ndim) scene, row and column of the pixels that may be looked at without a label."""
    found = [np.insert(np.argwhere(p), 0, n, axis=1) for n, p in enumerate(task.looked_at)]
    return np.concatenate(found)
