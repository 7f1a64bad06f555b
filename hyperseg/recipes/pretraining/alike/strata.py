"""What is alike in scenes without labels: strata of a spectral index, superpixels, clusters of superpixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.core.words import listed
from hyperseg.data.preprocess import Preprocess
from hyperseg.recipes.pretraining.alike.ground import clusters_of, components_of
from hyperseg.recipes.pretraining.scene_settings import SceneContrast

RED_NM, INFRARED_NM, NEAR_NM = 670.0, 860.0, 30.0  # bands of the NDVI, and how far off they may be


@dataclass(frozen=True, eq=False)
class Pool:
    """The pixels that are learnt from.

    Attributes:
        places: (N, 3) scene, row and column of every valid pixel.
        partition: (N,) number of the partition a pixel lies in, over all scenes.
        title: what partitions are, to end a sentence.
    """

    places: NDArray[np.int64]
    partition: NDArray[np.int64]
    title: str


def places_of(scenes: Sequence[Scene]) -> NDArray[np.int64]:
    """(N, 3) scene, row and column of every valid pixel.

    Raises:
        SceneError: there are fewer than two.
    """
    places = np.concatenate([np.insert(np.argwhere(scene.usable), 0, i, axis=1) for i, scene in enumerate(scenes)])
    if len(places) < 2:
        raise SceneError(f"{_names(scenes)}: pre-training needs valid pixels, found {len(places)}.")
    return places


def pool_of(scenes: Sequence[Scene], superpixel: NDArray[np.int64], bands: Preprocess, chosen: SceneContrast) -> Pool:
    """All valid pixels of the scenes and their partitions; labels are not looked at.

    Args:
        scenes: of the same bands.
        superpixel: (N,) number of the one that each valid pixel lies in, over all scenes.
        bands: raw spectra -> that in which superpixels are compared.
        chosen: what a partition is.

    Raises:
        SceneError: no valid pixel, or fewer superpixels than clusters.
    """
    places = places_of(scenes)
    if chosen.pairs == "gr":
        return Pool(places, np.zeros(len(places), np.int64), "no partitions")
    if chosen.partitions == "superpixels":
        return Pool(places, superpixel, f"{superpixel.max() + 1} superpixels")
    if chosen.partitions == "clusters":
        return Pool(
            places,
            clusters_of(scenes, superpixel, bands, chosen.clusters),
            f"{chosen.clusters} clusters of superpixels",
        )
    index, title = index_of(scenes)
    values = np.concatenate([x[scene.usable] for x, scene in zip(index, scenes, strict=True)])
    return Pool(places, strata_of(values, chosen.strata), f"{chosen.strata} strata of {title}")


def strata_of(values: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """(N,) stratum of each value, 0 for the smallest: runs of equally many, as far as values differ."""
    edges = np.quantile(values, np.linspace(0, 1, n + 1)[1:-1])
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def index_of(scenes: Sequence[Scene]) -> tuple[list[NDArray[np.float64]], str]:
    """(H, W) spectral index of every scene, and its name: NDVI, or the first MNF component of the first scene."""
    bands = [ndvi_bands(scene) for scene in scenes]
    if all(bands):
        return [ndvi(scene, *b) for scene, b in zip(scenes, bands, strict=True) if b], "the NDVI"
    mnf = components_of(scenes[0], 1)
    return [scene.features(mnf)[..., 0].astype(np.float64) for scene in scenes], "the first MNF component"


def ndvi_bands(scene: Scene) -> tuple[int, int] | None:
    """The good bands nearest to red and near infrared; None where there are none near enough."""
    if scene.wavelengths_nm is None:
        return None
    waves = np.asarray(scene.wavelengths_nm, np.float64).copy()
    if scene.good_bands is not None:
        waves[~scene.good_bands] = np.inf
    found = [int(np.abs(waves - nm).argmin()) for nm in (RED_NM, INFRARED_NM)]
    far = max(abs(waves[b] - nm) for b, nm in zip(found, (RED_NM, INFRARED_NM), strict=True))
    return (found[0], found[1]) if far <= NEAR_NM else None


def ndvi(scene: Scene, red: int, infrared: int) -> NDArray[np.float64]:
    """(H, W) (infrared - red) / (infrared + red), 0 where that is no number: a gain of raw values changes nothing."""
    low, high = (np.asarray(scene.cube[..., band], np.float64) for band in (red, infrared))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (high - low) / (high + low)
    return np.where(np.isfinite(found), found, 0.0)


def _names(scenes: Sequence[Scene]) -> str:
    return listed(scene.name for scene in scenes)
