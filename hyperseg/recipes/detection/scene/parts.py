"""The two parts of a scene: what is learned on one is scored and mapped on the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.core.words import counted

SIDE = 32  # pixels that a block is long, about
LEAST = 16
FEWEST = 600  # pixels with data
N_PARTS = 2
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Parts:
    """Blocks of a scene like a chequerboard: black ones are part 0, white ones part 1.

    Attributes:
        rows, columns: where blocks begin, and the end of the last one.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def side(self) -> tuple[int, int]:
        """(rows, columns) of the smallest block."""
        return int(np.diff(self.rows).min()), int(np.diff(self.columns).min())

    def windows(self, part: int) -> list[Window]:
        """The blocks of a part."""
        return [
            (slice(a, b), slice(c, d))
            for i, (a, b) in enumerate(pairwise(self.rows))
            for j, (c, d) in enumerate(pairwise(self.columns))
            if (i + j) % N_PARTS == part
        ]

    def of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Part of (n, 2) places, row and column."""
        i = np.searchsorted(self.rows, places[:, 0], "right") - 1
        j = np.searchsorted(self.columns, places[:, 1], "right") - 1
        return (np.clip(i, 0, len(self.rows) - 2) + np.clip(j, 0, len(self.columns) - 2)) % N_PARTS


def parts_of(scene: Scene) -> Parts:
    """Cut a scene in two.

    Raises:
        SceneError: it is no flat scene, or too small to learn on one part and score on another.
    """
    if len(scene.shape) != 2:
        raise SceneError(f"{scene.name}: targets are sought in scenes of rows and columns, this one is {scene.shape}.")
    n = int(np.prod(scene.shape)) if scene.valid is None else int(scene.valid.sum())
    if n < FEWEST or min(scene.shape) < LEAST or max(scene.shape) < 2 * LEAST:
        raise SceneError(
            f"{scene.name}: {scene.shape[0]} x {scene.shape[1]} pixels, {counted(n, 'pixel')} with data. A detector "
            f"learns on one half and is scored on the other: {2 * LEAST} x {LEAST} pixels and {FEWEST} with data are "
            "the least."
        )
    cuts = []
    for size in scene.shape:
        pieces = max(round(size / SIDE), 2 if size >= 2 * LEAST else 1)
        cuts.append(tuple(np.linspace(0, size, pieces + 1).round().astype(int).tolist()))
    return Parts(*cuts)
