"""Cutting a tree into regions: the cut under which a map is explained best for a price per region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.regions.ward import Ints, Tree, sums_by


def prune(tree: Tree, logs: NDArray[np.floating], *, price: float) -> Ints:
    """(leaves,) the region of every leaf under the best cut of the tree.

    Every region takes one class for all of its pixels. The best cut has the largest sum over regions of
    (log-probabilities of the best class, summed over the region) - price; one dynamic programme over the tree finds it.
    Of equal cuts the one with fewer regions is taken. With a price of 0 leaves are joined only where they agree; with a
    very large one the whole tree is a region.

    Args:
        tree: of the scene.
        logs: (N, K) log-probabilities of the pixels.
        price: of a region, in nats.

    Source: pruning by a criterion that adds up over regions, Salembier & Garrido 2000, IEEE Trans. Image
        Process. 9:561. Differs: the criterion is a classifier's log-likelihood with a price for each region.
    """
    best = tree.sums(logs).max(1) - price
    whole = np.ones(tree.n_nodes, bool)
    n = tree.n_leaves
    for low, high in tree.runs:
        apart = best[tree.merges[low:high]].sum(1)
        mine = best[n + low : n + high]
        whole[n + low : n + high] = mine >= apart
        best[n + low : n + high] = np.maximum(mine, apart)
    region = np.full(tree.n_nodes, -1)
    for low, high in reversed(tree.runs):
        nodes = n + np.arange(low, high)
        region[nodes] = np.where(region[nodes] < 0, np.where(whole[nodes], nodes, -1), region[nodes])
        region[tree.merges[low:high]] = region[nodes, None]
    region[:n] = np.where(region[:n] < 0, np.arange(n), region[:n])
    return np.unique(region[:n], return_inverse=True)[1]


def pool(probs: NDArray[np.floating], region: Ints, *, logs: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
    """(N, K) probabilities replaced by their mean over regions, or by the normalised mean of their `logs`.

    Args:
        probs: of the pixels.
        region: (N,) number of the region of every pixel, -1 for none: those keep their probabilities.
        logs: (N, K) log-probabilities to be averaged instead: a pixel that is sure against a class counts more then.
    """
    inside = region >= 0
    place = region[inside]
    size = np.maximum(np.bincount(place), 1)[:, None]
    values = (probs if logs is None else logs)[inside]
    mean = sums_by(place, values, len(size)) / size
    if logs is not None:
        mean = np.exp(mean - mean.max(1, keepdims=True))
        mean /= mean.sum(1, keepdims=True)
    out = np.array(probs, np.float64)
    out[inside] = mean[place]
    return out
