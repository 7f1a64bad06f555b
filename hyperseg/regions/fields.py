"""Fields of a scene: its tree cut once into regions of about one size, from spectra alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.regions.mnf import damped
from hyperseg.regions.scene import mnf_of
from hyperseg.regions.settings import Growth
from hyperseg.regions.ward import Ints, Tree, grow_tree, sums_by

COMPONENTS = 30  # of them the damped tree: on Indian Pines 97 % of its regions' pixels are of one class


@dataclass(frozen=True, eq=False)
class Fields:
    """Regions that are visited whole.

    Attributes:
        number: (H, W) region of every pixel, -1 where there is no data.
        spectra: (R, P) mean damped MNF components.
        pixels: (R,) how many pixels.
        centres: (R, 2) mean row and column.
    """

    number: Ints
    spectra: NDArray[np.float64]
    pixels: Ints
    centres: NDArray[np.float64]

    def means(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(H, W, K) values of pixels -> (R, K) means over the regions."""
        return _means(self.number, values, self.pixels)

    def holding(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(R,) regions with at least one pixel of the (H, W) mask."""
        found = np.zeros(len(self.pixels), bool)
        found[self.number[mask & (self.number >= 0)]] = True
        return found


def find_fields(scene: Scene, *, field_px: float) -> Fields | None:
    """Regions of `field_px` pixels on average: the dearest merges of Ward's tree are undone, wherever they are.

    Args:
        scene: (H, W, C); all of its spectra are looked at, its labels are not.
        field_px: mean size.

    Returns:
        None for scenes with too few neighbours to tell noise from signal.
    """
    found = mnf_of(scene, max(COMPONENTS, *Growth().components))
    if found is None:
        return None
    mnf, ratios = found
    components = damped(scene.features(mnf)[..., :COMPONENTS], ratios).astype(np.float32)
    tree = grow_tree(components, valid=scene.valid, leaf_px=min(Growth().leaf_px, field_px))
    inside = tree.superpixel >= 0
    n = max(1, round(np.count_nonzero(inside) / field_px))
    region = cut_into(tree, components.reshape(-1, components.shape[-1]), n)
    number = np.where(inside, region[tree.superpixel], -1).reshape(scene.shape)
    pixels = np.bincount(number[number >= 0])
    places = np.moveaxis(np.indices(scene.shape), 0, -1)
    return Fields(number, _means(number, components, pixels), pixels, _means(number, places, pixels))


def cut_into(tree: Tree, features: NDArray[np.floating], n: int) -> Ints:
    """(leaves,) region of every leaf when the tree is cut into n regions, or as near to that as it goes.

    The merges that cost most in sums of squares are undone. A merge counts at least what the merges below it cost, so
    that none is undone before the one above it.

    Args:
        tree: of the scene.
        features: (N, F) values of the pixels that it was grown on.
        n: regions; never fewer than the parts of the scene that do not touch, nor more than leaves.
    """
    values = features.astype(np.float64)
    sums = tree.sums(np.concatenate([np.ones((len(values), 1)), (values**2).sum(1, keepdims=True), values], 1))
    spread = sums[:, 1] - (sums[:, 2:] ** 2).sum(1) / sums[:, 0]
    leaves = tree.n_leaves
    cost = np.zeros(tree.n_nodes)
    for low, high in tree.runs:
        children = tree.merges[low:high]
        own = spread[leaves + low : leaves + high] - spread[children].sum(1)
        cost[leaves + low : leaves + high] = np.maximum(own, cost[children].max(1))
    undone = np.zeros(tree.n_nodes, bool)
    least = leaves - len(tree.merges)
    # of equal costs the later merge first: it is never below the other
    order = np.lexsort((-np.arange(len(tree.merges)), -cost[leaves:]))
    undone[leaves + order[: max(n - least, 0)]] = True
    top = np.arange(tree.n_nodes)
    for low, high in reversed(tree.runs):
        nodes = leaves + np.arange(low, high)
        kept = nodes[~undone[nodes]]
        top[tree.merges[kept - leaves]] = top[kept, None]
    return np.unique(top[:leaves], return_inverse=True)[1]


def _means(number: Ints, values: NDArray[Any], pixels: Ints) -> NDArray[np.float64]:
    inside = number >= 0
    return sums_by(number[inside], values[inside], len(pixels)) / pixels[:, None]
