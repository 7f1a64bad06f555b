"""Which pixels of a scene hold data: of all of it, of a window, of those that carry a label."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.io.look.values import can_lack, valid_in

log = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 2**20
FULL_SCAN_BYTES = 512 * 2**20
LOOKED_AT = 8  # bands of a larger cube
LABEL_ROWS = 64


def find_valid(scene: Scene) -> NDArray[np.bool_] | None:
    """(H, W) bool: pixels that hold data, or None where all do; as `valid_at`, over the whole scene.

    Cubes above 512 MiB are judged by eight of their good bands, from the first to the last.
    """
    cube, mask = scene.cube, scene.mask
    rows, columns, bands = cube.shape
    dtype = np.dtype(cube.dtype)
    if mask is None and not can_lack(dtype, scene.nodata):
        return None
    chosen = np.arange(bands) if scene.good_bands is None else np.flatnonzero(scene.good_bands)
    large = rows * columns * bands * dtype.itemsize > FULL_SCAN_BYTES
    if large:
        chosen = np.unique(chosen[np.linspace(0, len(chosen) - 1, LOOKED_AT).astype(int)])
        log.info("%s: large cube; its pixels without data are found in %d bands", scene.name, len(chosen))
    valid = np.empty((rows, columns), bool)
    step = max(1, BLOCK_BYTES // max(1, columns * bands * dtype.itemsize))
    first, last = int(chosen[0]), int(chosen[-1]) + 1
    for start in range(0, rows, step):
        part = slice(start, start + step)
        if large:
            block = np.stack([np.asarray(cube[part, :, int(band)]) for band in chosen], -1)
        else:
            block = np.asarray(cube[part, :, first:last])[..., chosen - first]
        valid[part] = valid_in(block, nodata=scene.nodata, gaps=scene.gaps)
        if mask is not None:
            valid[part] &= np.asarray(mask[part, :], bool)
    return None if valid.all() else valid


def valid_at(scene: Scene, at: tuple[slice, ...], block: NDArray[Any]) -> NDArray[np.bool_]:
    """(h, w) bool: which pixels of the window `at` of a scene hold data; `block` is its cube there.

    Where nobody has looked yet (`scene.valid` is None), values and mask of the window tell.
    """
    if scene.valid is not None:
        return scene.valid[at]
    inside = valid_in(block, good=scene.good_bands, nodata=scene.nodata, gaps=scene.gaps)
    return inside if scene.mask is None else inside & np.asarray(scene.mask[at], bool)


def without_data(scene: Scene) -> NDArray[np.bool_]:
    """(H, W) bool: labelled pixels (>= 0) that hold no data; only the windows with labels are read."""
    labels, cube = scene.labels, scene.cube
    assert labels is not None
    if scene.valid is not None:
        return (labels >= 0) & ~scene.valid
    empty = np.zeros(labels.shape, bool)
    rows, _, bands = cube.shape
    dtype = np.dtype(cube.dtype)
    if scene.mask is None and not can_lack(dtype, scene.nodata):
        return empty
    step = max(1, BLOCK_BYTES // (LABEL_ROWS * bands * dtype.itemsize))
    for start in range(0, rows, LABEL_ROWS):
        drawn = np.flatnonzero((labels[start : start + LABEL_ROWS] >= 0).any(0)).tolist()
        end = drawn[-1] + 1 if drawn else 0
        for left in range(drawn[0] if drawn else 0, end, step):
            at = np.s_[start : start + LABEL_ROWS, left : min(left + step, end)]
            if (labels[at] >= 0).any():
                empty[at] = (labels[at] >= 0) & ~valid_at(scene, at, np.asarray(cube[at]))
    return empty
