"""`Volume`: an image that is read window by window, on the grid and the scale of values that a network has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.core.words import percent
from hyperseg.io.cases.decode import decode_image
from hyperseg.medical.resample import LINEAR, neighbours, resampled_size

Floats = NDArray[np.float32]
Size = tuple[int, ...]
Spacing = tuple[float, ...]
LOW, HIGH = 0.5, 99.5  # percentiles of a volume that its values are cut to
FAR, NARROW = 0.02, 0.01  # percentiles that far from the ends are taken where the others lie so near, in parts of those
WIDEST = 20.0  # deviations that a channel reaches over, at most, where objects are few
LOOKED_AT = 2**21  # voxels of a channel that scale and percentiles are taken from, at most about so many
ALIKE = 0.1  # of two spacings that differ by no more nothing is resampled


@dataclass(frozen=True)
class Scale:
    """Per channel: what values are cut to, and then their mean and standard deviation; gaps: share of no numbers."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    gaps: float = 0.0


@dataclass(frozen=True)
class Volume:
    """A picture or a volume, and the grid it is looked at on.

    Attributes:
        name: of the case.
        array: (*S, C) as it lies in the file, a memory map where that can be.
        spacing: millimetres per axis of the array; 1 where nothing says.
        stated: the file, or something beside it, says the spacing.
        affine: (4, 4) from indices to millimetres of the world, where a NIfTI says.
        size: voxels per axis of the grid that windows are read on; edges of voxels stay where they are.
        scale: of the values.
        remarks: what one should know of it, a line each.
    """

    name: str
    array: NDArray[Any]
    spacing: Spacing
    stated: bool
    affine: NDArray[np.float64] | None
    size: Size
    scale: Scale
    remarks: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of the grid that windows are read on."""
        return (self.array.shape[-1], *self.size)

    @property
    def own_size(self) -> Size:
        """Voxels per axis of the file."""
        return tuple(self.array.shape[:-1])

    @property
    def factors(self) -> tuple[float, ...]:
        """Per axis: voxels of the grid for one of the file."""
        return tuple(new / old for new, old in zip(self.size, self.own_size, strict=True))

    def window(self, lo: Sequence[int], hi: Sequence[int]) -> Floats:
        """(C, *W) values of the voxels lo <= v < hi of the grid, all of them inside: scaled, and linear between voxels.

        Only the part of the file that is needed is read, so that memory is bounded by the window.
        """
        axes = list(zip(self.own_size, self.size, lo, hi, strict=True))
        taken = [tuple(part[a:b] for part in neighbours(old, new, LINEAR)) for old, new, a, b in axes]
        region = tuple(
            slice(a, b) if old == new else slice(int(low[0]), int(high[-1]) + 1)
            for (old, new, a, b), (low, high, _) in zip(axes, taken, strict=True)
        )
        found = torch.from_numpy(scaled(np.moveaxis(np.asarray(self.array[region]), -1, 0), self.scale))
        for axis, ((old, new, _, _), (low, high, share)) in enumerate(zip(axes, taken, strict=True), start=1):
            if old == new:
                continue
            weights = torch.from_numpy(share.copy()).view(-1, *(1,) * (found.ndim - axis - 1))
            first, second = (torch.from_numpy(at - low[0]) for at in (low, high))
            found = found.index_select(axis, first).lerp_(found.index_select(axis, second), weights)
        return found.numpy()

    def to_grid(self, boxes: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes (N, 2n) in voxels of the file -> in voxels of the grid."""
        return np.asarray(boxes, np.float64) * np.tile(self.factors, 2)

    def to_file(self, boxes: NDArray[Any]) -> NDArray[np.float64]:
        """The inverse of `to_grid`, cut to the volume."""
        own = np.asarray(boxes, np.float64) / np.tile(self.factors, 2)
        return np.clip(own, 0, np.tile(self.own_size, 2))


def open_volume(
    name: str, images: Sequence[Path], *, spacing: Spacing = (), target: Spacing = (), channels: int | None = None,
    axes: int | None = None,
) -> Volume:  # fmt: skip
    """Open an image; its values are looked at once, for their scale.

    Args:
        name, images: of the case; several files are its channels.
        spacing: of the file, where it does not say.
        target: millimetres per axis of the grid; left out, or where the file's differ by no more than a tenth, that of
            the file.
        channels, axes: how many there must be.

    Raises:
        DataFileError: unreadable, channels that do not lie on each other, other channels or axes than expected, or
            values of which nothing can be learnt: no finite number, or the same everywhere.
    """
    parts = [decode_image(path) for path in images]
    first = parts[0]
    if any(part.shape != first.shape for part in parts):
        raise DataFileError(f"{images[0]}: its channels have {len({p.shape for p in parts})} different shapes.")
    array = first.array if len(parts) == 1 else np.concatenate([part.array for part in parts], -1)
    own = first.place.spacing if first.place is not None else tuple(spacing)
    check_fit(images[0], array.shape, own, channels=channels, axes=axes)
    n = array.ndim - 1
    stated = bool(own)
    own = own or (1.0,) * n
    size, remarks = tuple(array.shape[:-1]), []
    if target and stated and not alike(own, target):
        size = resampled_size(size, own, target)
    if target and not stated:
        remarks.append(
            f"{name}: nothing says how large its voxels are, so it is not resampled, and others are, to voxels of "
            f"{'x'.join(f'{mm:.3g}' for mm in target)} mm; --spacing says it"
        )
    scale = scale_of(array)
    if not any(low < high for low, high in zip(scale.low, scale.high, strict=True)):
        if not np.isfinite(array).any():
            raise DataFileError(f"{images[0]}: holds no finite number. Convert it again.")
        raise DataFileError(
            f"{images[0]}: every voxel has the value {scale.low[0]:g}: there is nothing to see. Leave it out, or "
            "convert it again."
        )
    if scale.gaps:
        remarks.append(
            f"{name}: {percent(100 * scale.gaps)} of its values are no finite numbers and count as its lowest"
        )
    affine = None if first.place is None or not first.place.stated else first.place.affine
    return Volume(name, array, own, stated, affine, size, scale, tuple(remarks))


def check_fit(
    file: Path, shape: Sequence[int], spacing: Sequence[float], *, channels: int | None, axes: int | None
) -> None:
    """Refuse an image (*S, C) of other channels or axes than expected, in one line."""
    n = len(shape) - 1
    size = "x".join(map(str, shape[:-1]))
    if axes is not None and n != axes:
        what = {2: "pictures", 3: "volumes"}
        raise DataFileError(
            f"{file}: has {n} axes ({size}), the detector has learnt from {what.get(axes, 'images')} of {axes}. "
            f"Give {what.get(axes, 'such images')}, or train a detector on images like this one."
        )
    if channels is not None and shape[-1] != channels:
        raise DataFileError(
            f"{file}: has {shape[-1]} channels, {channels} were expected as the detector has learnt from. "
            "Convert it, or train a detector on images like this one."
        )
    if spacing and len(spacing) != n:
        raise DataFileError(f"{file}: has {n} axes, but a spacing of {len(spacing)} numbers; give one for each axis.")


def alike(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether spacings differ by no more than a tenth along every axis."""
    return all(abs(x - y) <= ALIKE * min(x, y) for x, y in zip(a, b, strict=True))


def scale_of(array: NDArray[Any]) -> Scale:
    """Of (*S, C): each channel is cut to its 0.5 and 99.5 percentiles, and brought to mean 0 and deviation 1.

    A value that most voxels share, as the background of a masked volume does, takes no part in the percentiles. Where
    they meet nevertheless, the channel keeps its whole range: small bright objects are never cut away with the rest.
    Of large arrays voxels are taken at regular steps. CT is treated like any other: its scale is that of each volume,
    not of Hounsfield units.
    """
    step = max(1, int((np.prod(array.shape[:-1]) / LOOKED_AT) ** (1 / (array.ndim - 1))))
    some = np.asarray(array[(slice(None, None, step),) * (array.ndim - 1)], np.float64).reshape(-1, array.shape[-1])
    known = np.isfinite(some)
    low, high = np.zeros(some.shape[1]), np.zeros(some.shape[1])
    for c in range(some.shape[1]):
        low[c], high[c] = cut_of(some[known[:, c], c])
        if low[c] >= high[c]:  # what was looked at may have missed a small object
            low[c], high[c] = range_of(array[..., c])
    cut = np.clip(np.where(known, some, low), low, high)
    mean, std = cut.mean(0), cut.std(0)
    std = np.where(high > low, np.maximum(std, (high - low) / WIDEST), 1.0)
    least, most, middle, spread = (tuple(map(float, each)) for each in (low, high, mean, std))
    return Scale(least, most, middle, spread, float(1 - known.mean()))


def cut_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """What finite values (N,) of a channel are cut to, see `scale_of`; (0, 0) where there are none."""
    ends: list[float] = []
    while len(values) and np.mean(values == (most := float(np.median(values)))) > 0.5:
        ends.append(most)
        values = values[values != most]
    if len(values):
        far, near, other, last = np.percentile(values, (FAR, LOW, HIGH, 100 - FAR))
        narrow = other - near < NARROW * (last - far)
        ends += [far, last] if narrow else [near, other]
    return (float(min(ends)), float(max(ends))) if ends else (0.0, 0.0)


def range_of(channel: NDArray[Any]) -> tuple[float, float]:
    """The least and the largest finite number of a channel (*S), looked at part by part; (0, 0) where there is none."""
    ends = [(float(own.min()), float(own.max())) for part in channel if len(own := part[np.isfinite(part)])]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)


def scaled(values: NDArray[Any], scale: Scale) -> Floats:
    """(C, *W) values of a file -> float32 of that scale; what is not finite becomes the lowest."""
    low, high, mean, std = (
        np.asarray(each, np.float32).reshape(-1, *(1,) * (values.ndim - 1))
        for each in (scale.low, scale.high, scale.mean, scale.std)
    )
    found = values.astype(np.float32)
    if values.dtype.kind == "f":
        found = np.where(np.isfinite(found), found, low)
    return np.ascontiguousarray((np.clip(found, low, high) - mean) / std, np.float32)
