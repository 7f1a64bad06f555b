"""What a trained generator makes, measured and drawn beside the real thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import Scene, Split
from hyperseg.core.settings import from_json
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess
from hyperseg.gan import collapse
from hyperseg.gan.networks import (
    Discriminator,
    GanSpec,
    Generator,
    build_discriminator,
    build_generator,
    generate,
)
from hyperseg.gan.objective import margin
from hyperseg.recipes.run.record import load_weights, unprefixed
from hyperseg.recipes.training.gan import TrainedGan, pool_mask

DRAWN = 1024  # pool pixels, and generated cubes, to measure and to draw
BATCH = 128


def describe_gan(
    trained: TrainedGan, scene: Scene, split: Split, *, pool: NDArray[np.bool_] | None, seed: int
) -> dict[str, Any] | None:
    """The part of metrics.json about a generator, or None where none was trained.

    Returns:
        "variant", "pool" (in words), "health" (see `hyperseg.gan.collapse.Health`), "warnings" (sentences),
        "generated_per_class" (name -> cubes of `DRAWN`).
    """
    if trained.generator is None:
        return None
    where = pool_mask(scene, pool)
    real = _pool_patches(trained, scene, where, seed)
    seen, doubted = _judged(trained.network, real)
    made, classes = generated_cubes(trained.network, trained.generator, seed=seed)
    _, believed = _judged(trained.network, made)
    health = collapse.examine(
        _centres(real), _centres(made), p_fake_real=doubted, p_fake_generated=believed, real_classes=seen,
        generated_classes=classes,
    )  # fmt: skip
    counts = np.bincount(classes, minlength=scene.n_classes)
    return {
        "variant": trained.network.spec.variant,
        "pool": _pool_in_words(where, split, given=pool is not None),
        "health": asdict(health),
        "warnings": collapse.warnings(health),
        "generated_per_class": {name: int(n) for name, n in zip(scene.classes, counts, strict=True)},
    }


def load_gan(tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> TrainedGan:
    """Discriminator, generator and preprocessing of a run's `model.safetensors` and the "model" part of its record."""
    from hyperseg.engine import History

    spec = from_json(GanSpec, record["gan"])
    alone = not unprefixed("generator", tensors)  # nothing but the labels counted
    network, generator = build_discriminator(spec, seed=0), None if alone else build_generator(spec, seed=0)
    for net, name in ((network, "discriminator"), (generator, "generator")):
        if net is not None:
            load_weights(net, name, tensors)
    return TrainedGan(
        network, generator, Preprocess.from_arrays(unprefixed("preprocess", tensors)), History()
    )


def generated_figures(trained: TrainedGan, scene: Scene, split: Split, *, seed: int) -> dict[str, bytes]:
    """Spectra and patches, real and generated, class by class, in the scene's own units."""
    from hyperseg.gan.pictures import generated_patches_figure, generated_spectra_figure
    from hyperseg.report.pictures import false_colours

    assert scene.labels is not None
    assert trained.generator is not None
    made, classes = generated_cubes(trained.network, trained.generator, seed=seed)
    cubes = trained.preprocess.restore(made[:, 0].permute(0, 2, 3, 1).numpy())
    at, r = np.argwhere(split.train), trained.network.margin
    around = np.pad(np.asarray(scene.cube[:]), ((r, r), (r, r), (0, 0)), mode="reflect")
    real = np.stack([around[y : y + 2 * r + 1, x : x + 2 * r + 1] for y, x in at])
    labels = scene.labels[split.train]
    return {
        "generated_spectra": generated_spectra_figure(
            real[:, r, r], labels, cubes[:, r, r], classes, scene.classes, scene.colours,
            wavelengths_nm=scene.wavelengths_nm, good_bands=trained.preprocess.keep,
        ),
        "generated_patches": generated_patches_figure(
            false_colours(real, scene), false_colours(cubes, scene), labels, classes, scene.classes, scene.colours
        ),
    }  # fmt: skip


def generated_cubes(
    network: Discriminator, generator: Generator, *, seed: int, n: int = DRAWN
) -> tuple[Tensor, NDArray[np.int16]]:
    """(n, 1, L, w, w) cubes on the CPU, in preprocessed bands, and their (n,) classes.

    The class is the one a conditional generator was told (all in turn), else the one the discriminator sees.
    """
    spec = generator.spec
    told = torch.arange(n) % spec.n_classes if spec.conditional else None
    made = generate(generator, n, seed=seed, told=told)
    return made, _judged(network, made)[0] if told is None else told.numpy().astype(np.int16)


def _pool_patches(trained: TrainedGan, scene: Scene, where: NDArray[np.bool_], seed: int) -> Tensor:
    source = PatchSource(trained.preprocess(scene.cube[:]), radius=trained.network.margin)
    places = np.argwhere(where)
    chosen = np.random.default_rng(seed).choice(len(places), min(DRAWN, len(places)), replace=False)
    return source.gather(torch.from_numpy(places[chosen]))


@torch.inference_mode()
def _judged(network: Discriminator, patches: Tensor) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """(n,) class the discriminator sees and (n,) P(generated) of patches."""
    device = next(network.parameters()).device
    found = [network.identify(part.to(device)) for part in patches.split(BATCH)]
    classes = torch.cat([j.classes[:, :, 0, 0] for j in found]).cpu()
    fake = torch.cat([j.fake[:, 0, 0] for j in found]).cpu()
    return classes.argmax(1).numpy().astype(np.int16), torch.sigmoid(-margin(classes, fake)).numpy()


def _centres(patches: Tensor) -> NDArray[np.float32]:
    r = patches.shape[-1] // 2
    return patches[:, 0, :, r, r].numpy()


def _pool_in_words(where: NDArray[np.bool_], split: Split, *, given: bool) -> str:
    n = f"{int(where.sum()):,} pixels".replace(",", " ")
    tested = int((where & split.test).sum())
    share = f"{100 * tested / max(int(split.test.sum()), 1):.0f} % of the test pixels among them, without their labels"
    if not given:
        return f"whole scene (transductive), {n}, {share}"
    return f"the pool mask, {n}, " + (f"{share} (transductive)" if tested else "no test pixel among them")
