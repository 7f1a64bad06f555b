"""`ResampledCube`: a cube whose bands are mixed from those of another one, window by window as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube
from hyperseg.io.formats.windows import windows_of
from hyperseg.io.look.values import broken, same


@dataclass(frozen=True, eq=False)
class BandMatch:
    """Which two bands of a scene make each band of a model, and in which proportion.

    Attributes:
        left, right: (C,) bands of the scene; equal where one is taken as it is.
        weight: (C,) float32 share of `right`, 0 to 1.
        largest_shift_nm: distance from a band in use to the nearest good band of the scene, at most.
        unused: how many of the scene's bands play no part.
    """

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    weight: NDArray[np.float32]
    largest_shift_nm: float
    unused: int


@dataclass(frozen=True, eq=False)
class ResampledCube:
    """A cube whose bands are mixed from those of another one when they are read; nothing is read before.

    Index arrays and masks may pick pixels or bands, not both at once. A band mixed from a value that is NaN or
    infinite is NaN or infinite too, and one mixed from `nodata` is `nodata`. It can be pickled where `cube` can.

    Attributes:
        cube: (*S, C2), lazy or not.
        match: how the C bands of this cube come from those C2.
        factor: what all values but `nodata` are multiplied by.
        nodata: value that stands for "no data", or None.
    """

    cube: Cube
    match: BandMatch
    factor: float = 1.0
    nodata: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.cube.shape[:-1], len(self.match.left))

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        # a memory map would travel as the array it maps
        cube = windows_of(self.cube) if isinstance(self.cube, np.memmap) else self.cube
        return ResampledCube, (cube, self.match, self.factor, self.nodata)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        pixels, bands = _split_key(key, len(self.shape))
        if not isinstance(bands, slice) and np.ndim(bands):
            if any(np.ndim(k) for k in pixels if not isinstance(k, slice)):
                raise IndexError("a resampled cube takes index arrays for pixels or for bands, not for both.")
            if np.asarray(bands).dtype.kind not in "iub":
                raise IndexError(f"bands are whole numbers or a mask, got {np.asarray(bands).dtype}.")
        left, right = self.match.left[bands], self.match.right[bands]
        if np.size(left) == 0:
            return np.asarray(self.cube[(*pixels, slice(0, 1))], np.float32)[..., :0]
        low, high = int(min(np.min(left), np.min(right))), int(max(np.max(left), np.max(right))) + 1
        block = np.asarray(self.cube[(*pixels, slice(low, high))])
        one, other = block[..., left - low], block[..., right - low]
        out = one.astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            if np.any(left != right):
                out += self.match.weight[bands] * (other.astype(np.float32) - out)
            if self.factor != 1:
                out *= np.float32(self.factor)
        if one.dtype.kind == "f":  # an absurd number times a scale may look like one that is not
            out = np.where(broken(one) | broken(other), np.float32(np.nan), out)
        if self.nodata is not None:
            out = np.where(same(one, self.nodata) | same(other, self.nodata), np.float32(self.nodata), out)
        return np.asarray(out, np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a resampled cube is computed: there is no array to share without a copy.")
        return np.asarray(self[...], dtype=dtype)


def _split_key(key: Any, ndim: int) -> tuple[tuple[Any, ...], Any]:
    """An index as (one or more for the pixel axes, the one for the bands)."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is None for part in parts):
        raise IndexError("a resampled cube takes slices, integers, index arrays and masks, not None.")
    masks = [isinstance(p, np.ndarray | list) and np.asarray(p).dtype == np.bool_ for p in parts]
    axes = [np.ndim(p) if mask else 1 for p, mask in zip(parts, masks, strict=True)]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    taken = sum(axes) - len(dots)
    if len(dots) > 1 or taken > ndim:
        raise IndexError(f"{taken} indices for an array of {ndim} axes.")
    at = dots[0] if dots else len(parts)
    parts[at : at + len(dots)] = [slice(None)] * (ndim - taken)
    if isinstance(parts[-1], np.ndarray) and parts[-1].ndim > 1:
        raise IndexError("bands are picked by a slice, a number, a list or a mask of one axis.")
    return tuple(parts[:-1]), parts[-1]
