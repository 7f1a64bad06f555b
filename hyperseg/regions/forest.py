"""Several trees of a scene, and a map pooled in the regions of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperseg.regions.mnf import damped
from hyperseg.regions.pruning import pool, prune
from hyperseg.regions.settings import Cut, Growth
from hyperseg.regions.ward import Ints, Tree, grow_tree


def grow_forest(
    components: NDArray[np.float32], ratios: NDArray[np.floating], growth: Growth, *,
    valid: NDArray[np.bool_] | None = None,
) -> tuple[Tree, ...]:  # fmt: skip
    """Trees of a scene on different components: where they agree, a border is one.

    Args:
        components: (H, W, P) MNF components with noise of unit variance.
        ratios: (P,) variance of every component.
        growth: how many of them, and how far down.
        valid: (H, W) pixels with data.

    Source: trees of segmentations of spectra: Valero et al. 2013, IEEE Trans. Image Process. 22:1430. Differs: Ward's
        merging on MNF components, and several trees at once; damped ones have components divided by the fourth root of
        their variance. Both are ours.
    """
    numbers = sorted({min(n, components.shape[-1]) for n in growth.components})
    images = (image for n in numbers for image in (components[..., :n], damped(components[..., :n], ratios)))
    return tuple(grow_tree(image, valid=valid, leaf_px=growth.leaf_px) for image in images)


def cut_forest(forest: Sequence[Tree], probs: NDArray[np.floating], cut: Cut) -> list[Ints]:
    """For every tree the (N,) region of every pixel under this (N, K) map, -1 for pixels without data."""
    logs = np.log(np.maximum(probs, cut.floor)) / cut.temper
    # the last place is that of pixels without data
    return [np.append(prune(tree, logs, price=cut.price), -1)[tree.superpixel] for tree in forest]


def pooled(probs: NDArray[np.floating], regions: Sequence[Ints], cut: Cut) -> NDArray[np.float32]:
    """The (..., K) map pooled in the regions of every tree, averaged over the trees."""
    flat = probs.reshape(-1, probs.shape[-1]).astype(np.float64)
    logs = np.log(np.maximum(flat, cut.floor)) if cut.pool == "log" else None
    total = sum((pool(flat, region, logs=logs) for region in regions), np.zeros_like(flat))
    return (total / len(regions)).reshape(probs.shape).astype(np.float32)


def joined(regions: Sequence[Ints], pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(*S) share of the trees in which a pixel lies in one region with any of these pixels."""
    found: NDArray[np.float32] = np.zeros(pixels.size, np.float32)
    for region in regions:
        met = np.zeros(region.max(initial=-1) + 2, bool)  # the last place is that of -1
        met[region[pixels.reshape(-1)]] = True
        met[-1] = False
        found += met[region]
    return np.asarray(found / len(regions), np.float32).reshape(pixels.shape)
