"""What a data set of images or volumes is like: sizes, spacings, intensities. Everything a plan follows from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError

Size = tuple[int, ...]
PER_CASE = 20_000  # foreground values that are kept of one case


@dataclass(frozen=True)
class Intensity:
    """The values of one channel in the foreground of all cases together."""

    mean: float
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Fingerprint:
    """Numbers of a data set; the order of its cases does not matter.

    Attributes:
        spacings: of each case, millimetres (or 1 where nobody says) per axis.
        sizes: of each case in voxels, cropped to what is not zero.
        kept: median share of a case's voxels that the crop keeps.
        channels: their names; "CT" is a calibrated scale.
        intensities: of each channel.
        classes: their names, background first.
    """

    spacings: tuple[tuple[float, ...], ...]
    sizes: tuple[Size, ...]
    kept: float
    channels: tuple[str, ...]
    intensities: tuple[Intensity, ...]
    classes: tuple[str, ...]

    @property
    def n_cases(self) -> int:
        return len(self.sizes)

    @property
    def median_size(self) -> Size:
        return tuple(int(n) for n in np.median(np.array(self.sizes), 0))


def fingerprint_of(cases: Iterable[Scene], channels: tuple[str, ...], *, seed: int = 0) -> Fingerprint:
    """Look at all labelled cases once, one at a time.

    Args:
        cases: (*S, C) volumes or images with labels; class 0 is background.
        channels: a name for each of C, "CT" for computed tomography.
        seed: draws the foreground values that are kept.

    Raises:
        SceneError: no case, or another number of channels than names.
    """
    rng = np.random.default_rng(seed)
    spacings, sizes, kept, values = [], [], [], []
    classes: tuple[str, ...] = ()
    for case in cases:
        if case.n_bands != len(channels):
            raise SceneError(f"{case.name}: {case.n_bands} channels, but {len(channels)} names: {', '.join(channels)}.")
        cube = np.asarray(case.cube[:])
        box = nonzero_box(cube)
        assert case.labels is not None
        found = cube[case.labels > 0]
        drawn = rng.choice(len(found), min(PER_CASE, len(found)), replace=False)
        values.append(found[np.sort(drawn)].astype(np.float64))
        spacings.append(tuple(map(float, case.grid.spacing[: len(case.shape)])))
        sizes.append(tuple(s.stop - s.start for s in box))
        kept.append(prod(sizes[-1]) / prod(case.shape))
        classes = case.classes
    if not sizes:
        raise SceneError("a data set without a labelled case has no fingerprint.")
    foreground = np.concatenate(values)
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], spacings[i]))
    return Fingerprint(
        tuple(spacings[i] for i in order), tuple(sizes[i] for i in order), float(np.median(kept)), channels,
        tuple(_intensity(foreground[:, c]) for c in range(len(channels))), classes,
    )  # fmt: skip


def nonzero_box(cube: NDArray[np.generic]) -> tuple[slice, ...]:
    """The smallest box of a (*S, C) cube outside of which all channels are zero; all of it where all are."""
    there = (cube != 0).any(-1)
    if not there.any():
        return tuple(slice(0, n) for n in there.shape)
    box = []
    for axis in range(there.ndim):
        along = np.flatnonzero(there.any(tuple(a for a in range(there.ndim) if a != axis)))
        box.append(slice(int(along[0]), int(along[-1]) + 1))
    return tuple(box)


def _intensity(values: NDArray[np.float64]) -> Intensity:
    if not len(values):
        return Intensity(0.0, 1.0, 0.0, 1.0)
    low, high = np.percentile(values, (0.5, 99.5))
    return Intensity(float(values.mean()), float(values.std()), float(low), float(high))
