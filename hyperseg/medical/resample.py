"""Images, labels and class scores on a grid of another spacing: axis by axis, with the splines of a plan."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.medical.fingerprint import Size, Spacing
from hyperseg.medical.training import Resampling

LABELS, LINEAR = np.int16, 1


def resampled_size(size: Size, spacing: Spacing, target: Spacing) -> Size:
    """Voxels per axis at the spacing `target`; at least one."""
    scaled = (n * mm / new for n, mm, new in zip(size, spacing, target, strict=True))
    return tuple(max(1, int(np.round(n))) for n in scaled)


def orders_of(spacing: Spacing, target: Spacing, order: int, splines: Resampling) -> Size:
    """Order of the spline along each axis.

    Of a volume whose voxels are much longer along one axis, before or else after, that axis has an order of its own:
    a smooth curve through slices far apart shows what is not there.
    """
    coarse = None
    if splines.anisotropy is not None and len(spacing) == 3:
        for voxel in (spacing, target):
            if max(voxel) > splines.anisotropy * min(voxel):
                longest = [axis for axis, mm in enumerate(voxel) if mm == max(voxel)]
                coarse = longest[0] if len(longest) == 1 else None
                break
    return tuple(splines.across if axis == coarse else order for axis in range(len(spacing)))


def resample(values: Tensor, size: Size, orders: Size) -> Tensor:
    """(N, *S) float32 -> (N, *size): splines through the centres of voxels, whose edges stay where they are.

    Beyond the outermost centres the nearest value goes on. Splines of order 2 and more are cut to the range of the
    values they go through. Along axes whose size stays nothing is done.

    Source: the arithmetic of `scipy.ndimage.zoom` with `grid_mode` and mode "nearest", one matrix product per axis.
    """
    found = values
    # those that shrink come first: the others have less to do then
    for axis in sorted(range(len(size)), key=lambda a: size[a] / values.shape[a + 1]):
        found = along(found, axis + 1, size[axis], orders[axis])
    if found is not values and max(orders) > LINEAR:
        flat = values.flatten(1)
        low, high = (x.view(-1, *(1,) * len(size)) for x in (flat.amin(1), flat.amax(1)))
        torch.minimum(torch.maximum(found, low, out=found), high, out=found)  # `along` made it
    return found


def along(values: Tensor, axis: int, n: int, order: int) -> Tensor:
    """`values` with `n` voxels along one axis."""
    old = values.shape[axis]
    if n == old:
        return values
    if order <= LINEAR:
        low, high, share = (torch.from_numpy(part).to(values.device) for part in neighbours(old, n, order))
        found = values.index_select(axis, low)
        if order < LINEAR:
            return found
        share = share.view(-1, *(1,) * (values.ndim - axis - 1))
        return found.lerp_(values.index_select(axis, high), share)
    weights = torch.from_numpy(_matrix(old, n, order)).to(values.device)
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    if not after:
        return values @ weights.T
    flat = values.reshape(before.numel(), old, after.numel())
    return torch.matmul(weights, flat).view(*before, n, *after)


def neighbours(old: int, n: int, order: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of each of `n` voxels along an axis: the two old ones it lies between, and the share of the second.

    With order 0 both are the nearest one, and the share is 0.

    Raises:
        SettingError: an order above 1, whose splines have more neighbours.
    """
    if order > LINEAR:
        raise SettingError(f"class scores are resampled with order 0 or 1, the plan says {order}: change `logits`.")
    at = np.clip((np.arange(n) + 0.5) * (old / n) - 0.5, 0, old - 1)
    if order == 0:
        nearest = np.floor(at + 0.5).astype(np.int64)
        return nearest, nearest, np.zeros(n, np.float32)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, old - 1), (at - low).astype(np.float32)


def resample_labels(labels: NDArray[np.int16], size: Size, orders: Size) -> NDArray[np.int16]:
    """(*S) classes, -1 for none -> (*size): each class by itself as an image of 0 and 1, the largest value wins.

    Of two that are equal the higher class does, so that an object does not lose its edge to the background.
    """
    if labels.shape == size:
        return labels
    if max(orders) == 0:
        for axis, n in enumerate(size):
            if n != labels.shape[axis]:
                labels = labels.take(neighbours(labels.shape[axis], n, 0)[0], axis)
        return labels
    there = torch.from_numpy(np.ascontiguousarray(labels))
    best = torch.full(size, -1.0)
    found = torch.zeros(size, dtype=torch.int16)
    for code in np.unique(labels).tolist():
        value = resample((there == code).float()[None], size, orders)[0]
        wins = value >= best
        found[wins], best[wins] = code, value[wins]
    return found.numpy()


@lru_cache(maxsize=64)
def _matrix(old: int, n: int, order: int) -> NDArray[np.float32]:
    """(n, old): what each old voxel adds to each new one. A spline is linear in its values: those of unit vectors."""
    from scipy.ndimage import zoom

    if old == 1:
        return np.ones((n, 1), np.float32)
    made = zoom(np.eye(old), (n / old, 1), order=order, mode="nearest", grid_mode=True)
    return np.ascontiguousarray(made, np.float32)
