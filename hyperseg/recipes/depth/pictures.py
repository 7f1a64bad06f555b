"""`Pictures`: what a run of depth learns from, cut to one size: of rendered rooms, or of a folder of the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.io.depths import Pairs
from hyperseg.simulated.rooms import Z_MAX, Z_MIN, rooms

Array = NDArray[np.float32]

ROBUST = (1.0, 99.0)  # percentiles of inverse depth that become 0 and 1
KNOWN_SHARE = 0.5  # of the area of a pixel: with less depth it has none
SMALLEST_CROP = 1 / 3  # of the shorter side of a picture
ENOUGH = 0.25  # of a crop has depth, or another place is tried
TRIES = 20


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size and what is known of their depth.

    Attributes:
        images: (n, 3, s, s) float32 from -1 to 1.
        y: (n, s, s) float32 inverse depth from 0 to 1, see `InverseDepth`; NaN where there is none.
        z_min, z_max: the depths that 1 and 0 stand for, in metres; of disparity its inverse, in no unit.
        names: (n,) of the picture that each was cut from.
        made_by: how they were made, in words.
        unit: "m", "disparity", or "units" of the rendered rooms.
    """

    images: Array
    y: Array
    z_min: float
    z_max: float
    names: tuple[str, ...]
    made_by: str
    unit: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def bounds(self) -> InverseDepth:
        """From values to depths and back."""
        return InverseDepth(self.z_min, self.z_max)

    @property
    def labelled(self) -> NDArray[np.intp]:
        """Numbers of the pictures that have some depth."""
        return np.flatnonzero(np.isfinite(self.y).any((1, 2)))


def from_rooms(n: int, size: int, seed: int, *, first: int = 0) -> Pictures:
    """Rendered rooms `first` to `first` + n - 1 of a seed; each has its depth.

    Raises:
        SettingError: fewer than one picture, a size below one, or numbers below zero.
    """
    images, z = rooms(n, size, seed, first=first)
    y = InverseDepth(Z_MIN, Z_MAX).of(z).astype(np.float32)
    names = tuple(f"room-{seed}-{first + i}" for i in range(n))
    return Pictures(images, y, Z_MIN, Z_MAX, names, f"rooms {first} to {first + n - 1} of seed {seed}", "units")


def from_pairs(
    pairs: Pairs, size: int, *, crops: int = 1, seed: int = 0, bounds: tuple[float, float] | None = None
) -> Pictures:
    """Squares cut out of a folder's pictures, those with depth first, each averaged to size x size pixels.

    The first crop of a picture is its largest centred square. Further ones have sides from a third of that, at places
    where a quarter of the pixels has depth if twenty tries find one. A pixel's inverse depth is the mean of what is
    known in its area, and unknown where less than half of it is.

    Args:
        pairs: an opened folder.
        size: rows and columns.
        crops: squares out of each picture.
        seed: of the places and sizes of further crops; crops of a picture depend on its number and the seed alone.
        bounds: depths z_min and z_max that 1 and 0 stand for; None takes the percentiles 1 and 99 of the inverse depth
            of all crops, so that single wrong pixels do not decide.

    Raises:
        SettingError: a size or number of crops below one, bounds that are no range.
        DataFileError: a file that cannot be read or is smaller than the size, or depth that is the same everywhere.
    """
    if size < 1 or crops < 1:
        raise SettingError(f"size is {size} and crops is {crops}; 1 or more was expected of both.")
    images, inverse, names = [], [], []
    for i, name in enumerate(pairs.names):
        rgb, z = pairs.pair(i) if i < len(pairs) else (pairs.picture(i), None)
        _check_large(pairs.matches[i].picture, rgb.shape[:2], size)
        known = np.full(rgb.shape[:2], np.nan) if z is None else _inverse(z, pairs.unit)
        for top, left, side in _squares(rgb.shape[:2], size, crops, np.random.default_rng([seed, i]), known):
            square = np.s_[top : top + side, left : left + side]
            images.append(area_mean(rgb[square].transpose(2, 0, 1) / np.float64(127.5) - 1, size))
            inverse.append(area_mean(known[square], size))
            names.append(name)
    u = np.stack(inverse)
    z_min, z_max = _robust(u, pairs) if bounds is None else bounds
    y = InverseDepth(z_min, z_max).of(1 / u).astype(np.float32)
    said = f"{len(pairs)} pictures with depth and {len(pairs.names) - len(pairs)} without, {crops} squares of each"
    how = "as given" if bounds else "percentiles 1 and 99 of inverse depth"
    made_by = f"{said} (seed {seed}); z_min {z_min:.4g}, z_max {z_max:.4g}: {how}"
    return Pictures(np.stack(images).astype(np.float32), y, z_min, z_max, tuple(names), made_by, pairs.unit)


def area_mean(values: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """(..., side, side) to (..., size, size): means over the area of each new pixel, NaN left out.

    A new pixel is NaN where less than half of its area is known. Sides need not be multiples of the size: a pixel on
    the border of two counts in each by its share.
    """
    share = _shares(values.shape[-1], size)
    known = np.isfinite(values)
    weight = share @ np.ascontiguousarray(known, np.float64) @ share.T
    total = share @ np.ascontiguousarray(np.where(known, values, 0.0)) @ share.T  # strided ones are slow
    enough = weight >= KNOWN_SHARE * (1 - 1e-9)
    return np.where(enough, total / np.where(enough, weight, 1.0), np.nan)


def _shares(side: int, size: int) -> NDArray[np.float64]:
    """(size, side): which share of a new pixel each old one is; rows sum to 1."""
    edges = np.arange(size + 1) * (side / size)
    old = np.arange(side)
    over = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.clip(over, 0, None) * (size / side)


def _inverse(z: Array, unit: str) -> NDArray[np.float64]:
    """Inverse depth; disparity is that already, up to a factor."""
    wide = z.astype(np.float64)
    return wide if unit == "disparity" else 1 / wide


def _squares(
    shape: tuple[int, ...], size: int, crops: int, rng: np.random.Generator, known: NDArray[np.float64]
) -> Iterator[tuple[int, int, int]]:
    """Top, left and side of each square."""
    full = min(shape)
    yield (shape[0] - full) // 2, (shape[1] - full) // 2, full
    some = np.isfinite(known)
    least = min(full, max(size, round(full * SMALLEST_CROP)))
    for _ in range(crops - 1):
        for _ in range(TRIES):
            side = int(rng.integers(least, full + 1))
            top, left = (int(rng.integers(0, extent - side + 1)) for extent in shape)
            if not some.any() or some[top : top + side, left : left + side].mean() >= ENOUGH:
                break
        yield top, left, side


def _check_large(file: Path, shape: tuple[int, ...], size: int) -> None:
    if min(shape) < size:
        raise DataFileError(
            f"{file}: has {shape[0]}x{shape[1]} pixels, a square of {size}x{size} is to be cut out of it. Choose a "
            "smaller size, or take it away."
        )


def _robust(u: NDArray[np.float64], pairs: Pairs) -> tuple[float, float]:
    """z_min and z_max of inverse depths."""
    if not (known := u[np.isfinite(u)]).size:
        raise DataFileError(
            f"{pairs.matches[0].depth}: no square that was cut has depth for half the area of a pixel. Depth is too "
            "sparse for this size: choose a smaller one, or more crops."
        )
    far, near = (float(value) for value in np.percentile(known, ROBUST))
    if not 0 < far < near:
        raise DataFileError(
            f"{pairs.matches[0].depth}: depth is {1 / far:.4g} everywhere in the {len(pairs)} maps of its folder; "
            "different depths were expected."
        )
    return 1 / near, 1 / far
