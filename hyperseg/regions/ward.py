"""A binary tree of regions: neighbours whose union costs least are merged, until nothing is left to merge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Tree:
    """Superpixels and the merges above them; a forest where parts of the scene do not touch.

    Attributes:
        superpixel: (N,) the leaf every pixel with data lies in, -1 for pixels without.
        n_leaves: number of leaves; they are the nodes 0..n_leaves - 1.
        merges: (M, 2) children of the nodes n_leaves, n_leaves + 1, ...; children stand before their parent.
        levels: bounds of runs of merges that do not need each other, ascending: (0, ..., M).
    """

    superpixel: Ints
    n_leaves: int
    merges: Ints
    levels: tuple[int, ...]

    @property
    def n_nodes(self) -> int:
        return self.n_leaves + len(self.merges)

    @property
    def runs(self) -> list[tuple[int, int]]:
        """(start, stop) of the runs of merges between the levels, from the leaves up."""
        return list(pairwise(self.levels))

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, K) values of pixels -> (nodes, K) sums over the pixels of every node."""
        inside = self.superpixel >= 0
        out = np.zeros((self.n_nodes, values.shape[1]))
        out[: self.n_leaves] = sums_by(self.superpixel[inside], values[inside], self.n_leaves)
        for low, high in self.runs:
            out[self.n_leaves + low : self.n_leaves + high] = out[self.merges[low:high]].sum(1)
        return out


def sums_by(number: Ints, values: NDArray[Any], n: int) -> NDArray[np.float64]:
    """(n, K) sums of (m, K) values over those of equal (m,) number 0..n-1."""
    return np.stack([np.bincount(number, column, minlength=n) for column in values.T], 1)


def grow_tree(features: Floats, *, valid: NDArray[np.bool_] | None = None, leaf_px: float = 14) -> Tree:
    """Ward's tree of a (H, W, F) image, cut off below superpixels of `leaf_px` pixels on average.

    In every round all pairs of regions merge that are each other's nearest neighbour. Without the condition that
    regions touch this is exactly the tree of merging the nearest pair of all, and with it nearly so; it takes a few
    dozen rounds of array operations instead of one step for each merge.

    Args:
        features: values in which Euclidean distance means something.
        valid: (H, W) bool: pixels with data; others belong to no region.
        leaf_px: mean size of a leaf.

    Source: Ward 1963; reciprocal nearest neighbours: Murtagh 1983. Differs: only regions that touch
        merge (4 neighbours).
    """
    height, width, n_features = features.shape
    number = np.arange(height * width).reshape(height, width)
    inside = np.ones(height * width, bool) if valid is None else valid.reshape(-1)
    place = np.cumsum(inside) - 1  # of a pixel among those with data
    edges = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
            np.stack([number[:-1].ravel(), number[1:].ravel()]),
        ],
        1,
    )
    edges = place[edges[:, inside[edges].all(0)]]
    values = features.reshape(-1, n_features)[inside].astype(np.float32)
    children, heights = _merge_all(values, edges)
    superpixel = np.full(height * width, -1)
    n = len(values)
    leaves, n_leaves, merges, levels = _cut(n, children, heights, keep=max(1, round(n / leaf_px)))
    superpixel[inside] = leaves
    return Tree(superpixel, n_leaves, merges, levels)


def _merge_all(values: Floats, edges: Ints) -> tuple[Ints, NDArray[np.float64]]:
    """(M, 2) children of the nodes n, n + 1, ... and what each merge cost, never less than its children's."""
    n = len(values)
    size, mean = np.ones(n, np.float32), values.copy()
    node, height = np.arange(n), np.zeros(n)  # of every live region: its node, and the cost of its last merge
    children: list[Ints] = []
    heights: list[NDArray[np.float64]] = []
    made, rng = n, np.random.default_rng(0)
    while edges.shape[1]:
        a, b = edges
        apart = mean.take(a, 0) - mean.take(b, 0)
        cost = size[a] * size[b] / (size[a] + size[b]) * np.einsum("ij,ij->i", apart, apart)
        rank = _ranks(cost, rng)
        nearest = np.full(len(size), np.iinfo(np.int64).max)
        np.minimum.at(nearest, a, rank)
        np.minimum.at(nearest, b, rank)
        mutual = np.flatnonzero((nearest[a] == rank) & (nearest[b] == rank))
        chosen = mutual[np.argsort(rank[mutual])]
        left, right = a[chosen], b[chosen]
        children.append(np.stack([node[left], node[right]], 1))
        tall = np.maximum(cost[chosen], np.maximum(height[left], height[right]))
        heights.append(tall)
        both = size[left] + size[right]
        mean[left] = (size[left, None] * mean[left] + size[right, None] * mean[right]) / both[:, None]
        size[left], height[left], node[left] = both, tall, made + np.arange(len(left))
        made += len(left)
        into = np.arange(len(size))
        into[right] = left
        stays = np.ones(len(size), bool)
        stays[right] = False
        new = (np.cumsum(stays) - 1)[into]
        size, mean, node, height = size[stays], mean[stays], node[stays], height[stays]
        one, other = new[edges]
        low, high = np.minimum(one, other), np.maximum(one, other)
        key = np.sort((low * len(size) + high)[low != high], kind="stable")  # nearly in order: np.unique is far slower
        key = key[np.diff(key, prepend=-1) > 0]
        low = key // max(len(size), 1)
        edges = np.stack([low, key - low * len(size)])
    if not children:
        return np.empty((0, 2), np.int64), np.empty(0)
    return np.concatenate(children), np.concatenate(heights)


def _ranks(cost: NDArray[np.float32], rng: np.random.Generator) -> Ints:
    """Numbers in the order of the costs; of equal ones in random order, or they would merge one by one along a row.

    The bits of positive floats are in their order: they stand before a number drawn for each. Sorting is only needed
    to see whether any are equal.
    """
    rank = cost.view(np.int32).astype(np.int64) << 32
    arranged = np.sort(cost)
    if not (arranged[1:] > arranged[:-1]).all():
        rank |= rng.permutation(len(cost))
    return rank


def _cut(n: int, children: Ints, heights: NDArray[np.float64], *, keep: int) -> tuple[Ints, int, Ints, tuple[int, ...]]:
    """Leaves of n pixels, their number, the merges above them and their levels: the dearest merges stay in the tree."""
    m = len(children)
    below = max(m - (keep - 1), 0)  # merges inside of superpixels
    order = np.lexsort((np.arange(m), heights))
    inner = np.zeros(m, bool)
    inner[order[:below]] = True
    top = np.arange(n + m)
    top[children[inner].ravel()] = np.repeat(n + np.flatnonzero(inner), 2)
    while (top != (further := top[top])).any():  # the paths up to the superpixels halve each time
        top = further
    tops, leaf = np.unique(top[:n], return_inverse=True)
    outer = np.flatnonzero(~inner)
    level = _levels(n, children, outer)
    arranged = outer[np.argsort(level, kind="stable")]
    name = np.full(n + m, -1)
    name[tops] = np.arange(len(tops))
    name[n + arranged] = len(tops) + np.arange(len(arranged))
    bounds = (0, *np.cumsum(np.bincount(level, minlength=2)[1:]).tolist())
    return leaf, len(tops), name[children[arranged]], bounds


def _levels(n: int, children: Ints, outer: Ints) -> Ints:
    """Of every outer merge, the longest way down to a superpixel."""
    level = np.zeros(n + len(children), np.int64)
    found = np.empty(len(outer), np.int64)
    for i, merge in enumerate(outer):
        a, b = children[merge]
        found[i] = level[n + merge] = 1 + max(level[a], level[b])
    return found
