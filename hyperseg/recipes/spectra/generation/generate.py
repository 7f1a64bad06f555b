"""New spectra, or small patches, of the classes of a scene, and what they are worth beside real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.engine import choose_device
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.spectra.generation.halves import Halves, halve
from hyperseg.recipes.spectra.generation.patches import cut_patches, fit_patches
from hyperseg.recipes.spectra.generation.pictures import draw_generated, draw_patches
from hyperseg.recipes.spectra.generation.quality import judged
from hyperseg.recipes.spectra.generation.sampling import draw_samples
from hyperseg.recipes.spectra.model import SpectraModel, fit_spectra_model
from hyperseg.recipes.spectra.pixels import spectra_at
from hyperseg.recipes.spectra.settings import SpectraSettings
from hyperseg.recipes.spectra.whitening import Whitening, fit_whitening

STEPS = 40  # of the sampler
MOST_PATCHES = 3000
JUDGED = 16  # leading components, each of unit variance, in which distributions are compared
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Generated:
    """What was made.

    Attributes:
        root: the folder.
        scores: as in generate.json.
    """

    root: Path
    scores: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Rest:
    """What components that the network does not model are like, class by class: (K, R) mean and spread."""

    mean: Float64
    spread: Float64

    @classmethod
    def of(cls, components: Float64, labels: NDArray[np.int64]) -> Rest:
        own = [components[labels == k] for k in range(int(labels.max()) + 1)]
        return cls(np.stack([c.mean(0) for c in own]), np.stack([c.std(0) for c in own]))

    def draw(self, labels: NDArray[np.int64], seed: int) -> Float64:
        """(n, R) Gaussian components for (n,) classes."""
        noise = np.random.default_rng(seed).normal(size=(len(labels), self.mean.shape[1]))
        return self.mean[labels] + self.spread[labels] * noise


@one_blas_thread()
def generate(
    scene: Scene, settings: SpectraSettings, *, out: Path, n: int = 100, only: Sequence[str] = (),
    patch: int | None = None, seed: int = 0, device: str = "auto", overwrite: bool = False, quiet: bool = False,
    pictures: bool = True, inputs: Mapping[str, Any] | None = None,
) -> Generated:  # fmt: skip
    """Learn one half of the labelled pixels, class by class, and make `n` new spectra or patches of each class.

    Writes spectra.npz (or patches.npz), a picture beside real ones, and generate.json: accuracy on the real half held
    out, learned from generated samples and from real ones; Frechet distance to that half, and its floor, that of the
    real half learned from.

    Args:
        n: of each class.
        only: classes; none means all.
        patch: side of square patches in pixels, odd; None makes spectra of single pixels.

    Raises:
        LabelError: too few labelled pixels.
        DataFileError: what would be overwritten.
    """
    what = "spectra" if patch is None else "patches"
    targets = [out / f"{what}.npz", out / "generate.json", *([out / f"{what}.png"] if pictures else [])]
    named = {"scene": scene.source} | dict(inputs or {})
    check_targets(targets, inputs=[v for v in named.values() if isinstance(v, str) and v], overwrite=overwrite)
    halves = halve(scene, only=only, most=settings.pixels if patch is None else MOST_PATCHES, seed=seed)
    runtime = Runtime(seed=seed, device=str(choose_device(device)), quiet=quiet)
    make = _spectra if patch is None else _patches
    samples, labels, scores, picture = make(scene, halves, settings, runtime, n, patch or 1, pictures)
    make_folder(out)
    with replacing(targets[0]) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {what: samples, "labels": labels, "classes": np.array(halves.classes)}
        if scene.wavelengths_nm is not None:
            arrays["wavelengths_nm"] = scene.wavelengths_nm
        np.savez_compressed(file, **arrays)
    if pictures:
        with replacing(out / f"{what}.png") as temporary:
            temporary.write_bytes(picture)
    scores = {"scene": scene.name, "made": what, "of_each_class": n, "classes": halves.classes, "inputs": named,
              "learned_from": len(halves.train), "seed": seed, "settings": settings} | scores  # fmt: skip
    write_json(targets[1], scores)
    return Generated(out, scores)


Made = tuple[NDArray[np.float32], NDArray[np.int64], dict[str, Any], bytes]


def _spectra(
    scene: Scene, halves: Halves, settings: SpectraSettings, runtime: Runtime, n: int, patch: int, pictures: bool
) -> Made:
    train, test = (spectra_at(scene, places) for places in (halves.train, halves.test))
    whitening = fit_whitening(train, good_bands=scene.good_bands)
    model = fit_spectra_model(whitening, train, settings, runtime, labels=halves.train_labels, classes=halves.classes)
    real, held = whitening(train), whitening(test)
    rest = Rest.of(real[:, model.n_components :], halves.train_labels)
    twins = _new(model, rest, halves.train_labels, runtime)
    first = slice(0, min(JUDGED, whitening.n_used))
    scores = judged(
        twins[:, first], halves.train_labels, real[:, first], halves.train_labels, held[:, first], halves.test_labels,
        seed=runtime.seed,
    )  # fmt: skip
    labels = np.repeat(np.arange(len(halves.classes)), n)
    made = whitening.restore(_new(model, rest, labels, replace(runtime, seed=runtime.seed + 1)))
    picture = draw_generated(scene, halves, made, labels, test) if pictures else b""
    return made, labels, scores | {"components": model.n_components}, picture


def _new(model: SpectraModel, rest: Rest, labels: NDArray[np.int64], runtime: Runtime) -> Float64:
    """(n, C') whitened components of new spectra of (n,) classes."""
    sampler = SAMPLERS[SAMPLERS.default]
    drawn = draw_samples(
        model.diffusion, sampler, labels, (model.n_components, 1), steps=STEPS, seed=runtime.seed, quiet=runtime.quiet
    )
    return np.concatenate([drawn[..., 0], rest.draw(labels, runtime.seed)], 1)


def _patches(
    scene: Scene, halves: Halves, settings: SpectraSettings, runtime: Runtime, n: int, patch: int, pictures: bool
) -> Made:
    whitening = fit_whitening(spectra_at(scene, halves.train), good_bands=scene.good_bands)
    depth = min(JUDGED if settings.components is None else settings.components, whitening.n_used)
    real, held = (_cubes(scene, places, patch, whitening, depth) for places in (halves.train, halves.test))
    model = fit_patches(real, halves.train_labels, settings, runtime, n_classes=len(halves.classes))
    sampler = SAMPLERS[SAMPLERS.default]

    def new(labels: NDArray[np.int64], seed: int) -> Float64:
        return draw_samples(model, sampler, labels, real.shape[1:], steps=STEPS, seed=seed, quiet=runtime.quiet)

    # as many as are judged: patches take longer than pixels
    few = np.sort(np.random.default_rng(runtime.seed).choice(len(real), min(len(real), 10 * n), replace=False))
    twins, (axes, middle) = new(halves.train_labels[few], runtime.seed), _axes(real)
    flat = [(x.reshape(len(x), -1) - middle) @ axes for x in (twins, real[few], held)]
    scores = judged(
        flat[0], halves.train_labels[few], flat[1], halves.train_labels[few], flat[2], halves.test_labels,
        seed=runtime.seed,
    )  # fmt: skip
    labels = np.repeat(np.arange(len(halves.classes)), n)
    made = _restored(new(labels, runtime.seed + 1), whitening)
    shown = _restored(held, whitening)
    picture = draw_patches(scene, halves, made, labels, shown) if pictures else b""
    return np.moveaxis(made, -1, 1), labels, scores | {"components": depth, "patch": patch}, picture


def _cubes(scene: Scene, places: NDArray[np.int64], patch: int, whitening: Whitening, depth: int) -> Float64:
    """(n, 1, depth, h, w) leading components of patches."""
    return np.stack([
        np.moveaxis(whitening(cut)[..., :depth], -1, 0)[None] for cut in cut_patches(scene, places, patch)
    ])  # fmt: skip


def _axes(real: Float64) -> tuple[Float64, Float64]:
    """Leading principal axes of whole patches, and their mean: what patches are compared in."""
    flat = real.reshape(len(real), -1)
    middle = flat.mean(0)
    rows = np.linalg.svd(flat - middle, full_matrices=False)[2]
    return rows[:JUDGED].T, middle


def _restored(cubes: Float64, whitening: Whitening) -> NDArray[np.float32]:
    """(n, 1, depth, h, w) -> (n, h, w, C) raw spectra; components that were not made are 0, their mean."""
    leading = np.moveaxis(cubes[:, 0], 1, -1)
    out = np.zeros((*leading.shape[:-1], whitening.n_used))
    out[..., : leading.shape[-1]] = leading
    return whitening.restore(out)
