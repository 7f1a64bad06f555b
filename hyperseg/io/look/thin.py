"""A cube seen from afar: every step-th row and column, without reading what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, Scene
from hyperseg.io.formats.windows import FlatWindows, LazyCube
from hyperseg.io.look.sample import stored_together
from hyperseg.io.look.values import broken, same


def thin_mask(scene: Scene, step: int) -> NDArray[np.bool_] | None:
    """(rows, columns) bool: which of every `step`-th row and column hold data by the mask of the file, as far as known.

    A mask that would have to read the cube is left out: values that stand for no data are NaN in a thin cube anyway.
    """
    if scene.valid is not None:
        return scene.valid[::step, ::step]
    if isinstance(scene.mask, LazyCube) and (thin := getattr(scene.mask.reader, "thin", None)) is not None:
        return np.asarray(thin(step))
    return None


@dataclass(frozen=True, eq=False)
class ThinCube:
    """Every `step`-th row and column of a cube as a float32 cube of its own, read one band at a time."""

    cube: Cube  # (H, W, C), lazy or not
    step: int  # 1 for every pixel
    nodata: float | None = None  # value that becomes NaN

    @property
    def shape(self) -> tuple[int, ...]:
        rows, columns, bands = self.cube.shape
        return -(-rows // self.step), -(-columns // self.step), int(bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, key: tuple[Any, Any, int]) -> NDArray[np.float32]:
        rows, columns, band = key
        plane = self._plane(int(band))
        out = plane.astype(np.float32)
        out[broken(plane) | same(plane, self.nodata)] = np.nan
        return out[rows, columns]

    def _plane(self, band: int) -> NDArray[Any]:
        cube, step = self.cube, self.step
        if not isinstance(cube, LazyCube):
            return np.asarray(cube[::step, ::step, band])
        if isinstance(cube.reader, FlatWindows):
            key = dict(zip(cube.axes, (slice(None, None, step), slice(None, None, step), band), strict=True))
            plane = cube.reader.pick(tuple(key[axis] for axis in range(3)))
            return plane if cube.axes[0] < cube.axes[1] else plane.T
        thin = getattr(cube.reader, "thin", None)
        if thin is not None and cube.axes == (0, 1, 2):
            return np.asarray(thin(step, band))
        together = stored_together(cube)[0]
        out = np.empty(self.shape[:2], cube.dtype)
        for start in range(0, cube.shape[0], together):
            wanted = np.arange(-(-start // step) * step, min(start + together, cube.shape[0]), step)
            if len(wanted):
                low, high = int(wanted[0]), int(wanted[-1]) + 1
                out[wanted // step] = cube[low:high, ::step, band][wanted - low]
        return out
