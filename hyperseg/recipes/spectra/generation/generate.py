"""New spectra, or small patches, of the classes of a scene, and what they are worth beside real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from hyperseg.recipes.spectra.generation.frames import fit_frames
from hyperseg.recipes.spectra.generation.halves import Halves, halve, strata
from hyperseg.recipes.spectra.generation.patches import cut_patches, fit_patches
from hyperseg.recipes.spectra.generation.pictures import draw_generated, draw_patches
from hyperseg.recipes.spectra.generation.quality import judged
from hyperseg.recipes.spectra.generation.sampling import draw_samples
from hyperseg.recipes.spectra.model import depth_of, fit_standard
from hyperseg.recipes.spectra.pixels import spectra_at
from hyperseg.recipes.spectra.record import Found
from hyperseg.recipes.spectra.settings import SpectraSettings
from hyperseg.recipes.spectra.whitening import Whitening, fit_whitening

STEPS = 40  # of the sampler
MOST_PATCHES = 3000
JUDGED_OF_CLASS = 20  # samples of a class that are judged on average, where fewer are made
JUDGED = 16  # leading components, each of unit variance, in which distributions are compared
Float64 = NDArray[np.float64]


@one_blas_thread()
def generate(
    scene: Scene, settings: SpectraSettings, *, out: Path, n: int = 100, only: Sequence[str] = (),
    patch: int | None = None, seed: int = 0, device: str = "auto", overwrite: bool = False, quiet: bool = False,
    pictures: bool = True, inputs: Mapping[str, Any] | None = None,
) -> Found:  # fmt: skip
    """Learn one half of the labelled pixels, class by class, and make `n` new spectra or patches of each class.

    Writes spectra.npz (or patches.npz), a picture beside real ones, and generate.json: accuracy on the real half held
    out, learned from generated samples and from real ones; Frechet distance to that half, and its floor, that of the
    real half learned from.

    Args:
        n: of each class; as many are drawn once more, in the shares that classes have, and judged beside as many real
            ones.
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
    return Found(out, scores)


Made = tuple[NDArray[np.float32], NDArray[np.int64], dict[str, Any], bytes]


def _spectra(
    scene: Scene, halves: Halves, settings: SpectraSettings, runtime: Runtime, n: int, patch: int, pictures: bool
) -> Made:
    train, test = (spectra_at(scene, places) for places in (halves.train, halves.test))
    whitening, told = fit_whitening(train, good_bands=scene.good_bands), halves.train_labels
    real, held = whitening(train), whitening(test)
    frames, depth = fit_frames(real, told), depth_of(settings, whitening)
    standard = frames.inside(real, told)[:, :depth]
    model = fit_standard(standard, settings, runtime, labels=told, n_classes=len(halves.classes))

    def new(labels: NDArray[np.int64], seed: int) -> Float64:
        """(n, C') components; those that the network does not model are a Gaussian's, given the others."""
        made = np.random.default_rng(seed).normal(size=(len(labels), whitening.n_used))
        made[:, :depth] = draw_samples(
            model, SAMPLERS[SAMPLERS.default], labels, (depth, 1), steps=STEPS, seed=seed, quiet=runtime.quiet
        )[..., 0]
        return frames.outside(made, labels)

    first = slice(0, min(JUDGED, whitening.n_used))
    few = _few(told, n, runtime.seed)
    real, told = real[few], told[few]
    plain = frames.outside(np.random.default_rng(runtime.seed).normal(size=real.shape), told)
    scores = judged(
        new(told, runtime.seed)[:, first], told, real[:, first], told, held[:, first], halves.test_labels,
        seed=runtime.seed, control=plain[:, first],
    )  # fmt: skip
    labels = np.repeat(np.arange(len(halves.classes)), n)
    made = whitening.restore(new(labels, runtime.seed + 1))
    picture = draw_generated(scene, halves, made, labels, test) if pictures else b""
    return made, labels, scores | {"components": depth}, picture


def _patches(
    scene: Scene, halves: Halves, settings: SpectraSettings, runtime: Runtime, n: int, patch: int, pictures: bool
) -> Made:
    centres, told = spectra_at(scene, halves.train), halves.train_labels
    whitening = fit_whitening(centres, good_bands=scene.good_bands)
    depth = depth_of(settings, whitening)
    frames = fit_frames(whitening(centres)[:, :depth], told)
    real, held = (_cubes(scene, places, patch, whitening, depth) for places in (halves.train, halves.test))
    model = fit_patches(_channels(frames.inside(real, told)), told, settings, runtime, n_classes=len(halves.classes))

    def new(labels: NDArray[np.int64], seed: int) -> Float64:
        shape, sampler = (1, depth, patch, patch), SAMPLERS[SAMPLERS.default]
        made = draw_samples(model, sampler, labels, shape, steps=STEPS, seed=seed, quiet=runtime.quiet)
        return frames.outside(np.ascontiguousarray(np.moveaxis(made[:, 0], 1, -1)), labels)

    few = _few(told, n, runtime.seed)
    twins, (axes, middle) = new(told[few], runtime.seed), _axes(real)
    flat = [(x.reshape(len(x), -1) - middle) @ axes for x in (twins, real[few], held)]
    scores = judged(flat[0], told[few], flat[1], told[few], flat[2], halves.test_labels, seed=runtime.seed)
    labels = np.repeat(np.arange(len(halves.classes)), n)
    made = _restored(new(labels, runtime.seed + 1), whitening)
    picture = draw_patches(scene, halves, made, labels, _restored(held, whitening)) if pictures else b""
    return np.moveaxis(made, -1, 1), labels, scores | {"components": depth, "patch": patch}, picture


def _few(told: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Real samples to be judged beside as many new ones: about as many as are made, classes in their own shares."""
    most = (int(told.max()) + 1) * max(n, JUDGED_OF_CLASS)
    return strata(told, most, rng=np.random.default_rng(seed), least=2)


def _cubes(scene: Scene, places: NDArray[np.int64], patch: int, whitening: Whitening, depth: int) -> Float64:
    """(n, h, w, depth) leading components of patches."""
    return np.stack([whitening(cut)[..., :depth] for cut in cut_patches(scene, places, patch)])


def _channels(cubes: Float64) -> Float64:
    """(n, h, w, depth) -> (n, 1, depth, h, w), as the network takes them."""
    return np.moveaxis(cubes, -1, 1)[:, None]


def _axes(real: Float64) -> tuple[Float64, Float64]:
    """Leading principal axes of whole patches, and their mean: what patches are compared in."""
    flat = real.reshape(len(real), -1)
    middle = flat.mean(0)
    rows = np.linalg.svd(flat - middle, full_matrices=False)[2]
    return rows[:JUDGED].T, middle


def _restored(leading: Float64, whitening: Whitening) -> NDArray[np.float32]:
    """(n, h, w, depth) -> (n, h, w, C) raw spectra; components that were not made are 0, their mean."""
    out = np.zeros((*leading.shape[:-1], whitening.n_used))
    out[..., : leading.shape[-1]] = leading
    return whitening.restore(out)
