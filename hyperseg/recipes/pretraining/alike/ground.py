"""Superpixels of scenes: what they say of the spread of like spectra, and which of them are alike. No labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra, row_blocks
from hyperseg.io.look.valid import find_valid
from hyperseg.regions.mnf import fit_mnf
from hyperseg.regions.ward import grow_tree, sums_by

COMPONENTS = 12  # of MNF, in which superpixels are grown
STATISTICS_PX = 60_000  # pixels that say how spectra are spread, about
STARTS = 3  # of k-means, of which the best is kept
Ints = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)


def looked_at(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes that know which of their pixels hold data: those that were opened without a look at all pixels do not."""
    return [s if s.valid is not None else s.with_(valid=_all_if_none(find_valid(s), s)) for s in scenes]


def _all_if_none(valid: NDArray[np.bool_] | None, scene: Scene) -> NDArray[np.bool_]:
    return np.ones(scene.shape, bool) if valid is None else valid


def superpixels(scene: Scene, size_px: float) -> Ints:
    """(H, W) number of the piece of like neighbours that a pixel lies in, -1 for pixels without data."""
    tree = grow_tree(scene.features(components_of(scene, COMPONENTS)), valid=scene.valid, leaf_px=size_px)
    return tree.superpixel.reshape(scene.shape)


def numbered(scenes: Sequence[Scene], size_px: float) -> Ints:
    """(N,) superpixel of every valid pixel of all scenes, one after another; every superpixel has its own number."""
    found, first = [np.zeros(0, np.int64)], 0
    for scene in scenes:
        if not scene.usable.any():
            continue
        number = superpixels(scene, size_px)[scene.usable]
        found.append(number + first)
        first += int(number.max()) + 1
    return np.concatenate(found)


def fit_scenes(scenes: Sequence[Scene], superpixel: Ints, *, whiten: bool) -> Preprocess:
    """Standardised bands, or the whitening of what pixels of one superpixel differ by.

    That is the whitening within classes, where a class is a superpixel: no labels are needed. Of large scenes every
    k-th superpixel is looked at. Ours.

    Args:
        scenes: of the same bands.
        superpixel: (N,) as `numbered` tells it.
        whiten: false standardises.
    """
    kept = superpixel % max(1, round(len(superpixel) / STATISTICS_PX)) == 0
    spectra = np.concatenate(
        [gather_spectra(s, _masked(s, k)) for s, k in zip(scenes, _per_scene(scenes, kept), strict=True)]
    )
    return fit_preprocess(spectra, good_bands=scenes[0].good_bands, whiten_within=superpixel[kept] if whiten else None)


def clusters_of(scenes: Sequence[Scene], superpixel: Ints, bands: Preprocess, n: int) -> Ints:
    """(N,) cluster of every valid pixel: k-means of the mean spectra of superpixels, as `bands` turns them.

    Fields that lie apart and look alike are one cluster: unlike superpixels, clusters do not hold them apart.

    Raises:
        SceneError: fewer superpixels than clusters.
    """
    from sklearn.cluster import KMeans

    many = int(superpixel.max()) + 1
    if many < n:
        raise SceneError(
            f"{scenes[0].name}: {many} superpixels cannot be sorted into {n} clusters: take fewer clusters, or smaller "
            "superpixels (superpixel_px)."
        )
    sums = np.zeros((many, scenes[0].n_bands))
    for scene, number in zip(scenes, _per_scene(scenes, superpixel), strict=True):
        of = np.full(scene.shape, -1, np.int64)
        of[scene.usable] = number
        for rows in row_blocks(scene.cube):
            inside = of[rows] >= 0
            sums += sums_by(of[rows][inside], np.asarray(scene.cube[rows], np.float64)[inside], many)
    means = bands(sums / np.bincount(superpixel)[:, None])
    found: Ints = KMeans(n, n_init=STARTS, random_state=0).fit_predict(means).astype(np.int64)
    return found[superpixel]


def components_of(scene: Scene, n: int) -> Preprocess:
    """MNF components, or standardised bands of scenes too small to tell noise from signal."""
    found = fit_mnf(scene, n)
    return fit_preprocess(_sampled(scene), good_bands=scene.good_bands) if found is None else found[0]


def _sampled(scene: Scene) -> NDArray[np.float32]:
    """(n, C) raw spectra of all valid pixels, of large scenes of every k-th."""
    places = np.arange(int(scene.usable.sum()))
    return gather_spectra(scene, _masked(scene, places % max(1, round(len(places) / STATISTICS_PX)) == 0))


def _masked(scene: Scene, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) those valid pixels that are kept, of which there is one value each."""
    mask = scene.usable.copy()
    mask[mask] = kept
    return mask


def _per_scene(scenes: Sequence[Scene], values: NDArray[Value]) -> list[NDArray[Value]]:
    """(N,) values of all valid pixels -> those of every scene."""
    counts = [int(scene.usable.sum()) for scene in scenes]
    return np.split(values, np.cumsum(counts)[:-1])
