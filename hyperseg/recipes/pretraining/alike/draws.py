"""Which pixels a step of the training without labels draws from scenes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SceneError, SettingError
from hyperseg.recipes.pretraining.alike.strata import Pool
from hyperseg.recipes.pretraining.scene_settings import SceneContrast

Ints = NDArray[np.int64]


class Drawn(NamedTuple):
    """Pixels of a step.

    Attributes:
        pixel: (B,) of the pixels in the pool.
        volume: (B,) what they count as slices of.
    """

    pixel: Ints
    volume: Ints

    def indices(self, partition: Ints) -> Ints:
        """(3, B) image, volume and partition; what is drawn twice is two images.

        Args:
            partition: (N,) of the pixels in the pool.
        """
        return np.stack([np.arange(len(self.pixel)), self.volume, partition[self.pixel]])


class Draws:
    """Draws pixels, every partition as often as the others.

    gr draws single pixels. gd- draws partitions, and a pixel of each. gd draws partitions, and two pixels of each: of
    two scenes where partitions are strata, which are the same for all scenes; any two where they are superpixels or
    clusters, which then count as two volumes. The latter is ours: what is one piece of ground is one thing.

    Raises:
        SettingError: strata of a single scene for gd.
        SceneError: fewer than two partitions, or none with two pixels.
    """

    def __init__(self, pool: Pool, chosen: SceneContrast) -> None:
        self.chosen, self.n = chosen, len(pool.places)
        strata = chosen.partitions == "strata"
        scene = pool.places[:, 0]
        if chosen.pairs == "gd" and strata and len(np.unique(scene)) < 2:
            raise SettingError(
                "pairs gd with strata compare two scenes, and one is given: give more scenes of the sensor, or take "
                "clusters."
            )
        # cells pixels are drawn from: (partition, scene) where scenes are volumes, else partitions
        key = pool.partition * (scene.max() + 1) + scene if strata and chosen.pairs == "gd" else pool.partition
        self.order = np.argsort(key, kind="stable")
        cells, start, count = np.unique(key[self.order], return_index=True, return_counts=True)
        self.start, self.count = start, count
        self.paired = strata and chosen.pairs == "gd"
        of = cells // (scene.max() + 1) if self.paired else cells
        self.groups = _groups(of)
        if chosen.pairs == "gd":
            self.groups = [g for g in self.groups if (len(g) > 1 if self.paired else count[g[0]] > 1)]
        if chosen.pairs != "gr" and len(self.groups) < 2:
            raise SceneError(
                f"a contrast needs two partitions or more that pixels can be drawn from, found {len(self.groups)} of "
                f"{pool.title}: take smaller superpixels or another index."
            )

    def __call__(self, rng: np.random.Generator) -> Drawn:
        """A batch."""
        batch = min(self.chosen.batch, self.n)
        if self.chosen.pairs == "gr":
            return Drawn(rng.choice(self.n, batch, replace=False), np.zeros(batch, np.int64))
        if self.chosen.pairs == "gd-":
            cells = np.array([g[0] for g in _cycled(self.groups, batch, rng)])
            return Drawn(self._of(cells, rng), np.zeros(batch, np.int64))
        groups = _cycled(self.groups, max(batch // 2, 2), rng)
        if self.paired:
            first, second = np.array([rng.choice(g, 2, replace=False) for g in groups]).T
            return Drawn(np.concatenate([self._of(first, rng), self._of(second, rng)]), _two(len(groups)))
        cells = np.array([g[0] for g in groups])
        one = rng.integers(0, self.count[cells])
        other = (one + rng.integers(1, self.count[cells])) % self.count[cells]  # another one
        at = np.concatenate([self.start[cells] + one, self.start[cells] + other])
        return Drawn(self.order[at], _two(len(groups)))

    def _of(self, cells: Ints, rng: np.random.Generator) -> Ints:
        """A pixel of each of these cells."""
        found: Ints = self.order[self.start[cells] + rng.integers(0, self.count[cells])]
        return found


def _groups(of: Ints) -> list[Ints]:
    """Indices of equal numbers, ascending."""
    _, start = np.unique(of, return_index=True)
    return np.split(np.arange(len(of)), start[1:])


def _cycled(groups: list[Ints], n: int, rng: np.random.Generator) -> list[Ints]:
    """n of them in random order, all as often as each other."""
    order = np.concatenate([rng.permutation(len(groups)) for _ in range(-(-n // len(groups)))])[:n]
    return [groups[i] for i in order]


def _two(n: int) -> Ints:
    return np.repeat(np.arange(2), n)
