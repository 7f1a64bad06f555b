"""Indian Pines as things to generate: patches of principal components, and spectra of pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.recipes.bench.data.pictures import SEED, Choice, Pictures, mixed, pictures

SCENE, SPECTRA = "indian-pines", "indian-pines-spectra"
PLACE = "hsi/indian_pines"  # below HYPERSEG_DATA
SIDE, COMPONENTS = 9, 3
SPLIT = "parcels:0.6,guard=8,cap=none"  # patches of 9 do not overlap across it
CUT = (0.1, 99.9)  # percentiles of training values that become -1 and 1
DIVISION = (
    "Training and test pixels are in different fields, 8 pixels apart, with other shares of classes: test samples are "
    "far from training samples, and that distance is no floor for a sampler."
)
Mask = NDArray[np.bool_]


def load_patches(folder: Path | None, choice: Choice) -> Pictures:
    """(n, 3, 9, 9) patches around labelled pixels: principal components of training pixels, each scaled by itself.

    Args:
        folder: with the files of the scene; None takes the copy of an installed package, or HYPERSEG_DATA.
    """
    scene, train, test = _opened(folder)
    cube = np.asarray(scene.cube[:], np.float64)[..., _kept(scene)]
    learn = cube[train]
    mean = learn.mean(0)
    _, _, axes = np.linalg.svd(learn - mean, full_matrices=False)
    axes = axes[:COMPONENTS] * np.sign(axes[:COMPONENTS].sum(1, keepdims=True))  # the sign of an axis is anybody's
    image = _scaled((cube - mean) @ axes.T, train)
    r = SIDE // 2
    around = np.pad(image, ((r, r), (r, r), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(around, (SIDE, SIDE), axis=(0, 1))
    note = f"Patches of {SIDE} x {SIDE} pixels around labelled ones, {COMPONENTS} principal components. {DIVISION}"
    return _divided(SCENE, scene, windows, train, test, note)


def load_spectra(folder: Path | None, choice: Choice) -> Pictures:
    """(n, 1, L) spectra of labelled pixels, each band scaled by itself; arguments as for `load_patches`."""
    scene, train, test = _opened(folder)
    cube = _scaled(np.asarray(scene.cube[:], np.float64)[..., _kept(scene)], train)
    note = f"Spectra of labelled pixels, {cube.shape[-1]} bands, each scaled by itself. {DIVISION}"
    return _divided(SPECTRA, scene, cube[:, :, None], train, test, note)


def _opened(folder: Path | None) -> tuple[Scene, Mask, Mask]:
    from hyperseg.data.splits import make_split
    from hyperseg.io.open import open_scene

    if folder is None and (named := os.environ.get("HYPERSEG_DATA")):
        folder = Path(named)
    if folder is not None and (folder / PLACE).is_dir():
        folder = folder / PLACE
    scene = open_scene(SCENE, folder=folder)
    assert scene.labels is not None
    split = make_split(SPLIT, scene.labels, scene.n_classes, seed=SEED)
    return scene, split.train | split.val, split.test


def _kept(scene: Scene) -> Any:
    return slice(None) if scene.good_bands is None else scene.good_bands


def _scaled(values: NDArray[np.float64], train: Mask) -> NDArray[np.float32]:
    """(H, W, C) channel by channel in [-1, 1]; statistics of training pixels only."""
    low, high = np.percentile(values[train], CUT, axis=0)
    return np.clip(2 * (values - low) / np.maximum(high - low, 1e-12) - 1, -1, 1).astype(np.float32)


def _divided(name: str, scene: Scene, samples: NDArray[Any], train: Mask, test: Mask, note: str) -> Pictures:
    """Samples (H, W, C, *S) of the pixels of both masks, of the classes to learn from."""
    assert scene.labels is not None
    here = [k for k in range(scene.n_classes) if (scene.labels[train] == k).any()]
    number = np.full(scene.n_classes, -1)
    number[here] = np.arange(len(here))
    masks = [mask & np.isin(scene.labels, here) for mask in (train, test)]
    parts = [mixed(samples[mask], number[scene.labels[mask]]) for mask in masks]
    untested = [scene.classes[k] for k in here if not (scene.labels[test] == k).any()]
    more = f" Not among the test pixels: {', '.join(untested)}." if untested else ""
    return pictures(name, *parts, classes=tuple(scene.classes[k] for k in here), note=note + more)
