"""What a trained generator makes, measured and drawn beside the real thing."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import Scene, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Figure, Section
from hyperseg.data.patches import PatchSource
from hyperseg.gan import collapse
from hyperseg.gan.networks import Discriminator, Generator, generate
from hyperseg.gan.objective import margin
from hyperseg.gan.pictures import generated_patches_figure, generated_spectra_figure
from hyperseg.gan.section import PATCHES_CAPTION, SPECTRA_CAPTION, gan_section
from hyperseg.recipes.training.model import NetworkModel
from hyperseg.report.pictures import false_colours

DRAWN = 1024  # pool pixels, and generated cubes, to measure and to draw
BATCH = 128


def tell_generated(
    model: NetworkModel, scene: Scene, split: Split, runtime: Runtime, *, pools: tuple[NDArray[np.bool_], ...] | None
) -> Section:
    """What the report shows of a generator: its health beside the pool, and what it makes, drawn and counted.

    `numbers` has "variant", "pool" (in words), "health" (see `hyperseg.gan.collapse.Health`), "warnings" (sentences),
    "generated_per_class" (name -> cubes of `DRAWN`).
    """
    where, generator = scene.usable if pools is None else pools[0], model.beside["generator"]
    assert isinstance(generator, Generator)
    real = _pool_patches(model, scene, where, runtime.seed)
    seen, doubted = _judged(model.network, real)
    made, classes = generated_cubes(model.network, generator, seed=runtime.seed)
    _, believed = _judged(model.network, made)
    health = collapse.examine(
        _centres(real), _centres(made), p_fake_real=doubted, p_fake_generated=believed, real_classes=seen,
        generated_classes=classes,
    )  # fmt: skip
    counts = np.bincount(classes, minlength=scene.n_classes)
    numbers = {
        "variant": model.spec.variant,
        "pool": _pool_in_words(where, split, given=pools is not None),
        "health": asdict(health),
        "warnings": collapse.warnings(health),
        "generated_per_class": {name: int(n) for name, n in zip(scene.classes, counts, strict=True)},
    }
    return gan_section(numbers, figures=generated_figures(model, scene, split, made, classes))


def generated_figures(
    model: NetworkModel, scene: Scene, split: Split, made: Tensor, classes: NDArray[np.int16]
) -> tuple[Figure, ...]:
    """Spectra and patches, real and generated, class by class, in the scene's own units."""
    assert scene.labels is not None
    cubes = model.preprocess.restore(made[:, 0].permute(0, 2, 3, 1).numpy())
    at, r = np.argwhere(split.train), model.margin_px
    around = np.pad(np.asarray(scene.cube[:]), ((r, r), (r, r), (0, 0)), mode="reflect")
    real = np.stack([around[y : y + 2 * r + 1, x : x + 2 * r + 1] for y, x in at])
    labels = scene.labels[split.train]
    spectra = generated_spectra_figure(
        real[:, r, r], labels, cubes[:, r, r], classes, scene.classes, scene.colours,
        wavelengths_nm=scene.wavelengths_nm, good_bands=model.preprocess.keep,
    )  # fmt: skip
    patches = generated_patches_figure(
        false_colours(real, scene), false_colours(cubes, scene), labels, classes, scene.classes, scene.colours
    )
    return Figure(spectra, SPECTRA_CAPTION), Figure(patches, PATCHES_CAPTION)


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


def _pool_patches(model: NetworkModel, scene: Scene, where: NDArray[np.bool_], seed: int) -> Tensor:
    source = PatchSource(scene.features(model.preprocess), radius=model.margin_px)
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
