"""What is alike in scenes without labels: strata of a spectral index, superpixels, neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.core.words import listed
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra
from hyperseg.recipes.pretraining.scene_settings import SceneContrast
from hyperseg.regions.mnf import fit_mnf
from hyperseg.regions.ward import grow_tree

COMPONENTS = 12  # of MNF, in which superpixels are grown
RED_NM, INFRARED_NM, NEAR_NM = 670.0, 860.0, 30.0  # bands of the NDVI, and how far off they may be
PAIRS = 6_000  # of neighbours, for the whitening
SMALLEST = 0.7  # share of the differences of neighbours that are taken for noise; the others may be borders
STATISTICS_PX = 60_000  # pixels that say how a band is spread


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


def pool_of(scenes: Sequence[Scene], chosen: SceneContrast) -> Pool:
    """All valid pixels of the scenes and their partitions; labels are not looked at.

    Raises:
        SceneError: no valid pixel, or none that differ.
    """
    valid = [valid_of(scene) for scene in scenes]
    places = np.concatenate([np.insert(np.argwhere(mask), 0, i, axis=1) for i, mask in enumerate(valid)])
    if len(places) < 2:
        raise SceneError(f"{_names(scenes)}: pre-training needs valid pixels, found {len(places)}.")
    if chosen.partitions == "superpixels":
        found, first = [], 0
        for scene, mask in zip(scenes, valid, strict=True):
            number = superpixels(scene, chosen.superpixel_px)[mask]
            found.append(number + first)
            first += int(number.max(initial=-1)) + 1
        return Pool(places, np.concatenate(found), f"{first} superpixels")
    index, title = index_of(scenes)
    values = np.concatenate([x[mask] for x, mask in zip(index, valid, strict=True)])
    return Pool(places, strata_of(values, chosen.strata), f"{chosen.strata} strata of {title}")


def valid_of(scene: Scene) -> NDArray[np.bool_]:
    return np.ones(scene.shape, bool) if scene.valid is None else scene.valid


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


def superpixels(scene: Scene, size_px: float) -> NDArray[np.int64]:
    """(H, W) number of the piece of like neighbours that a pixel lies in, -1 for pixels without data."""
    tree = grow_tree(scene.features(components_of(scene, COMPONENTS)), valid=scene.valid, leaf_px=size_px)
    return tree.superpixel.reshape(scene.shape)


def components_of(scene: Scene, n: int) -> Preprocess:
    """MNF components, or standardised bands of scenes too small to tell noise from signal."""
    found = fit_mnf(scene, n)
    return fit_preprocess(sampled_spectra([scene]), good_bands=scene.good_bands) if found is None else found[0]


def sampled_spectra(scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """(n, C) raw spectra of all valid pixels, of large scenes of every k-th."""
    return np.concatenate([gather_spectra(scene, _thinned(valid_of(scene), len(scenes))) for scene in scenes])


def _thinned(mask: NDArray[np.bool_], among: int) -> NDArray[np.bool_]:
    places = np.flatnonzero(mask)
    step = max(1, round(len(places) * among / STATISTICS_PX))
    out = np.zeros(mask.size, bool)
    out[places[::step]] = True
    return out.reshape(mask.shape)


def fit_scenes(scenes: Sequence[Scene], *, whiten: bool, seed: int = 0) -> Preprocess:
    """Standardised bands, or the whitening of what neighbouring pixels differ by.

    That is the whitening within classes, where a class is a pair of neighbours: no labels are needed. The 30 % of pairs
    that differ most are left out, as borders may lie between them. Ours.
    """
    good = scenes[0].good_bands
    bands = fit_preprocess(sampled_spectra(scenes), good_bands=good)
    if not whiten:
        return bands
    rng = np.random.default_rng(seed)
    pairs = np.concatenate([neighbours(scene, max(1, round(PAIRS / SMALLEST / len(scenes))), rng) for scene in scenes])
    if len(pairs) < 2:
        return bands
    apart = (np.subtract(*bands(pairs.swapaxes(0, 1))) ** 2).sum(1)
    kept = pairs[apart <= np.quantile(apart, SMALLEST)]
    within = fit_preprocess(
        np.concatenate([kept[:, 0], kept[:, 1]]), good_bands=good, whiten_within=np.tile(np.arange(len(kept)), 2)
    )
    return within


def neighbours(scene: Scene, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(m, 2, C) raw spectra of valid pixels and their right or lower neighbours, m = n where there are so many."""
    valid, found = valid_of(scene), []
    for axis in (0, 1):
        near = np.argwhere(valid[: valid.shape[0] - (axis == 0), : valid.shape[1] - (axis == 1)])
        other = near + np.eye(2, dtype=int)[axis]
        both = valid[tuple(other.T)]
        found.append(np.stack([near[both], other[both]], 1))
    pairs: Any = np.concatenate(found)
    pairs = pairs[np.sort(rng.choice(len(pairs), min(n, len(pairs)), replace=False))]
    wanted = np.zeros(scene.shape, bool)
    wanted[pairs[..., 0], pairs[..., 1]] = True
    row = np.cumsum(wanted).reshape(scene.shape) - 1
    return gather_spectra(scene, wanted)[row[pairs[..., 0], pairs[..., 1]]]


def _names(scenes: Sequence[Scene]) -> str:
    return listed(scene.name for scene in scenes)
