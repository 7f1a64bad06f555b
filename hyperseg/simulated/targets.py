"""Targets smaller than a few pixels, mixed into a scene at known places: what a detector finds of them can be counted.

A pixel x of which the target t covers a share f becomes (1 - f) x + f t: linear mixing, each pixel by itself. A pixel
that no target covers keeps its very bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import Cube, SettingError

Mask = NDArray[np.bool_]
Float64 = NDArray[np.float64]

EDGE = 0.3  # least share of a target's pixels, in units of its fullest one; invented, as is how they are drawn
TRIES = 60  # places looked at for each target


@dataclass(frozen=True, eq=False)
class Implant:
    """A target in a scene.

    Attributes:
        row, column: of its first pixel.
        fill: (h, w) share of each pixel that it covers, above 0 and at most 1.
        gain: factor on the target's spectrum: how it is lit.
        decoy: (C,) spectrum of something else that is mixed in the same way and is no target; None for targets.
    """

    row: int
    column: int
    fill: Float64
    gain: float = 1.0
    decoy: NDArray[Any] | None = None

    def spectrum(self, target: Float64) -> Float64:
        """(C,) what covers its pixels, lit."""
        return self.gain * np.asarray(target if self.decoy is None else self.decoy, np.float64)

    @property
    def most(self) -> float:
        """Share of its fullest pixel."""
        return float(self.fill.max())

    @property
    def box(self) -> Float64:
        """(4,) lowest row and column, and those behind the last."""
        height, width = self.fill.shape
        return np.array([self.row, self.column, self.row + height, self.column + width], np.float64)


def boxes_of(implants: Sequence[Implant]) -> Float64:
    """(n, 4) boxes."""
    return np.stack([i.box for i in implants]) if implants else np.zeros((0, 4))


def draw_implants(
    allowed: Mask, n: int, *, rng: np.random.Generator, fill: tuple[float, float] = (0.05, 0.6), extent_px: int = 3,
    apart_px: int = 4, brightness: float = 0.0,
) -> tuple[Implant, ...]:  # fmt: skip
    """At most `n` targets on pixels where they are allowed; fewer where no room is found for more.

    The fullest pixel's share is drawn evenly from `fill`, height and width from 1 to `extent_px`; the other pixels have
    0.3 to 1 of that share.

    Args:
        allowed: (H, W) bool; all pixels of a target lie on these.
        apart_px: unmixed pixels between two targets, at least.
        brightness: standard deviation of the logarithm of the targets' gain; 0 lights all alike.

    Raises:
        SettingError: an option outside its range.
    """
    low, high = fill
    if not 0 <= low <= high <= 1 or extent_px < 1 or apart_px < 0 or not 0 <= brightness < np.inf:
        raise SettingError(
            f"shares {low:g} to {high:g}, extent {extent_px}, distance {apart_px}, brightness {brightness}: expected "
            "0 <= low <= high <= 1, an extent of 1 pixel or more, and a distance and brightness of 0 or more."
        )
    where = np.flatnonzero(allowed)
    free = np.array(allowed, bool)
    found: list[Implant] = []
    for _ in range(TRIES * n if len(where) else 0):
        if len(found) == n:
            break
        height, width = rng.integers(1, extent_px + 1, 2).tolist()
        row, column = divmod(int(where[rng.integers(len(where))]), allowed.shape[1])
        place = free[row : row + height, column : column + width]
        if place.shape != (height, width) or not place.all():
            continue
        shares = rng.uniform(EDGE, 1, (height, width))
        shares.flat[rng.integers(shares.size)] = 1.0
        gain = float(np.exp(rng.normal(0, brightness))) if brightness else 1.0
        found.append(Implant(row, column, rng.uniform(low, high) * shares, gain))
        free[_around(row, height, apart_px), _around(column, width, apart_px)] = False
    return tuple(found)


def with_decoys(implants: Sequence[Implant], spectra: NDArray[Any]) -> tuple[Implant, ...]:
    """The same implants, the last of them decoys: as many as there are rows in the (m, C) `spectra` of other things.

    Whoever finds all that differs from its surroundings finds decoys too.
    """
    first = len(implants) - min(len(spectra), len(implants))
    others = zip(implants[first:], spectra, strict=False)
    return (*implants[:first], *(replace(implant, decoy=one) for implant, one in others))


def mixed(spectra: ArrayLike, target: ArrayLike, fill: ArrayLike) -> NDArray[Any]:
    """(..., C) spectra of which (...) shares are covered by the target, (C,) or one for each.

    Where the share is 0 the values are the given ones, bit for bit; where it is 1 they are the target's. Whole numbers
    become float32, or float64 where float32 cannot hold them.
    """
    x, t, f = np.asarray(spectra), np.asarray(target, np.float64), np.asarray(fill, np.float64)[..., None]
    kind = np.result_type(x.dtype, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # values that are no numbers stay none
        partly = ((1 - f) * x + f * t).astype(kind)
    return np.where(f > 0, np.where(f < 1, partly, t.astype(kind)), x.astype(kind))


@dataclass(frozen=True, eq=False)
class ImplantedCube:
    """A cube with targets in it, mixed in as it is read; it is never held as a whole.

    Pixels are read by slices of step 1, bands by anything.

    Attributes:
        cube: (H, W, C), lazy or not.
        implants: targets and decoys; none overlaps another.
        target: (C,) spectrum of the targets in the cube's units.
    """

    cube: Cube
    implants: tuple[Implant, ...]
    target: Float64

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.cube.shape)

    @property
    def dtype(self) -> Any:
        return np.result_type(self.cube.dtype, np.float32)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in [p for p in parts if not isinstance(p, np.ndarray)]:
            at = next(i for i, p in enumerate(parts) if p is Ellipsis)
            parts[at : at + 1] = [slice(None)] * (4 - len(parts))
        rows, columns, bands = parts + [slice(None)] * (3 - len(parts))
        if not all(isinstance(k, slice) and k.step in (None, 1) for k in (rows, columns)):
            raise IndexError("a cube with implanted targets is read by slices of rows and columns of step 1.")
        top, bottom, _ = rows.indices(self.shape[0])
        left, right, _ = columns.indices(self.shape[1])
        out = np.array(self.cube[rows, columns], self.dtype)
        for implant in self.implants:
            r, c = implant.row, implant.column
            height, width = implant.fill.shape
            r0, r1, c0, c1 = max(r, top), min(r + height, bottom), max(c, left), min(c + width, right)
            if r0 < r1 and c0 < c1:
                at_place = slice(r0 - top, r1 - top), slice(c0 - left, c1 - left)
                share = implant.fill[r0 - r : r1 - r, c0 - c : c1 - c]
                out[at_place] = mixed(out[at_place], implant.spectrum(self.target), share)
        return np.asarray(out[..., bands])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a cube with implanted targets is computed: there is no array to share without a copy.")
        return np.asarray(self[:, :], dtype=dtype)


def _around(start: int, length: int, apart: int) -> slice:
    return slice(max(start - apart, 0), start + length + apart)
