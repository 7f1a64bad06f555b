"""The regions of a scene: trees over blocks of it, grown once for as long as the scene is the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.settings import to_json
from hyperseg.data.identity import identity_of
from hyperseg.data.preprocess import Preprocess
from hyperseg.regions.forest import cut_forest, grow_forest, joined, pooled
from hyperseg.regions.mnf import fit_mnf
from hyperseg.regions.settings import Cut, Growth
from hyperseg.regions.ward import Tree

Blocks = tuple[tuple[slice, slice], ...]


@dataclass(frozen=True, eq=False)
class Regions:
    """Trees of a scene.

    Attributes:
        shape: (H, W).
        blocks: half-overlapping windows of one size that cover the scene; one where it is small.
        forests: the trees of every block.
    """

    shape: tuple[int, ...]
    blocks: Blocks
    forests: tuple[tuple[Tree, ...], ...]

    def pooled(self, probs: NDArray[np.floating], cut: Cut) -> NDArray[np.float32]:
        """The (H, W, K) map pooled in the regions of every tree, averaged over trees and, where there are several, over
        blocks, which count most in their middle: there are no seams."""

        def within(at: tuple[slice, slice], forest: tuple[Tree, ...]) -> NDArray[np.float32]:
            part = probs[at]
            return pooled(part, cut_forest(forest, part.reshape(-1, part.shape[-1]), cut), cut)

        return self._blended(within, probs.shape[-1])

    def joined(self, probs: NDArray[np.floating], cut: Cut, pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(H, W) share of the trees in which a pixel lies in one region with any of these pixels."""

        def within(at: tuple[slice, slice], forest: tuple[Tree, ...]) -> NDArray[np.float32]:
            part = probs[at]
            regions = cut_forest(forest, part.reshape(-1, part.shape[-1]), cut)
            return joined(regions, pixels[at])[..., None]

        return self._blended(within, 1)[..., 0]

    def _blended(self, within: Callable[..., NDArray[np.float32]], n: int) -> NDArray[np.float32]:
        if len(self.blocks) == 1:
            return within(self.blocks[0], self.forests[0])
        import torch

        from hyperseg.engine.blend import blend

        side = tuple(s.stop - s.start for s in self.blocks[0])
        values = (torch.from_numpy(within(at, f)) for at, f in zip(self.blocks, self.forests, strict=True))
        return np.concatenate([slab.numpy() for _, slab in blend(values, self.shape, side, n)])


def regions_of(scene: Scene, mnf: Preprocess, ratios: NDArray[np.floating], growth: Growth) -> Regions:
    """Grow the trees of a (H, W, C) scene on its components; those of the last scenes asked for are kept.

    Args:
        scene: all of its spectra are looked at, block by block; its labels are not.
        mnf, ratios: of `mnf_of`, of this scene or of another.
        growth: how.
    """

    def grow() -> Regions:
        blocks = _blocks(scene.shape, growth.block_px)
        forests = []
        for at in blocks:
            valid = None if scene.valid is None else scene.valid[at]
            forests.append(grow_forest(scene.features(mnf, at), ratios, growth, valid=valid))
        return Regions(scene.shape, blocks, tuple(forests))

    transform = [zlib.crc32(a.tobytes()) for a in (*mnf.to_arrays().values(), ratios)]
    return _kept(_Wanted(_key(scene, transform, to_json(growth)), grow))


def mnf_of(scene: Scene, n: int) -> tuple[Preprocess, NDArray[np.float64]] | None:
    """`fit_mnf`, done once per scene."""
    return _kept(_Wanted(_key(scene, n), lambda: fit_mnf(scene, n)))


@dataclass(frozen=True)
class _Wanted:
    key: str
    make: Callable[[], Any] = field(compare=False)


@lru_cache(maxsize=4)
def _kept(wanted: _Wanted) -> Any:
    """What was made of the same values before, or made now."""
    return wanted.make()


def _key(scene: Scene, *more: Any) -> str:
    return json.dumps([identity_of(scene), *more], default=str)


def _blocks(shape: tuple[int, ...], side: int) -> Blocks:
    """Half-overlapping blocks of side^2 pixels; of a strip they are longer than wide."""
    (height, width), most = shape, side**2
    sides = tuple(min(n, max(side, most // max(other, 1))) for n, other in ((height, width), (width, height)))
    if sides == shape:
        return ((slice(0, shape[0]), slice(0, shape[1])),)
    from hyperseg.engine.blend import windows

    return tuple((a, b) for a, b in windows(shape, sides))
