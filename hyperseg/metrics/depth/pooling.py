"""Depth maps as features of a few numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError

Floats = NDArray[np.float64]


def pooled(depth: ArrayLike, side: int = 8) -> Floats:
    """Means of depth maps over side x side parts, as features for `frechet_distance`.

    Parts have borders at whole pixels, as even as can be: of maps whose height is a multiple of `side`, equal ones.

    Args:
        depth: (n, h, w), finite.
        side: parts along each axis.

    Returns:
        (n, side * side), row by row.

    Raises:
        SettingError: another shape, maps smaller than `side`, or values that are not finite.
    """
    maps = np.asarray(depth, np.float64)
    if maps.ndim != 3 or not len(maps) or side < 1 or min(maps.shape[1:]) < side:
        raise SettingError(f"depth maps (n, h, w) of {side} x {side} pixels or more are pooled, got {maps.shape}.")
    if not np.isfinite(maps).all():
        raise SettingError("depth maps with unknown pixels cannot be pooled: give maps that are known everywhere.")
    for axis in (1, 2):
        edges = np.arange(side + 1) * maps.shape[axis] // side
        lengths = np.diff(edges).reshape((-1, 1) if axis == 1 else (-1,))
        maps = np.add.reduceat(maps, edges[:-1], axis=axis) / lengths
    return maps.reshape(len(maps), side * side)
