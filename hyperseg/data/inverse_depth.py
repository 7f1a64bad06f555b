"""Depth as networks learn it: inverse depth between 0 (farthest) and 1 (nearest)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError


@dataclass(frozen=True)
class InverseDepth:
    """y = (1/z - 1/z_max) / (1/z_min - 1/z_max): 1 at z_min, 0 at z_max.

    Near things take up most of it, where an error of depth is seen best.

    Attributes:
        z_min, z_max: nearest and farthest depth, in the unit of the depths.

    Raises:
        SettingError: not 0 < z_min < z_max, or bounds that are not finite.
    """

    z_min: float
    z_max: float

    def __post_init__(self) -> None:
        if not 0 < self.z_min < self.z_max < np.inf:
            raise SettingError(f"depth goes from z_min > 0 to a larger z_max, got {self.z_min:g} to {self.z_max:g}.")

    def of(self, z: ArrayLike) -> NDArray[Any]:
        """Depths to values from 0 to 1; depths outside the bounds are taken to be at them, NaN stays NaN."""
        held = np.clip(_floats(z), self.z_min, self.z_max)
        span = 1 / self.z_min - 1 / self.z_max
        return np.clip((1 / held - 1 / self.z_max) / span, 0, 1).astype(held.dtype)

    def back(self, y: ArrayLike) -> NDArray[Any]:
        """Values to depths from z_min to z_max; values outside 0 to 1 are taken to be at them, NaN stays NaN."""
        held = np.clip(_floats(y), 0, 1)
        return (1 / (held * (1 / self.z_min - 1 / self.z_max) + 1 / self.z_max)).astype(held.dtype)


def _floats(values: ArrayLike) -> NDArray[Any]:
    """As floating-point numbers: float32 stays so, everything else becomes float64."""
    found = np.asarray(values)
    return found if found.dtype == np.float32 else found.astype(np.float64)
