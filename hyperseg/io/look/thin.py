"""A cube seen from afar: every step-th row and column, without reading what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube
from hyperseg.io.formats.windows import FlatWindows, LazyCube
from hyperseg.io.look.bands import stored_together


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
        if self.nodata is not None:
            out[plane == self.nodata] = np.nan
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
