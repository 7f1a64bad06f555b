"""What a data set of images or volumes is like: sizes, spacings, intensities. Everything a plan follows from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError
from hyperseg.core.tiles import box_around

Size = tuple[int, ...]
Spacing = tuple[float, ...]
PER_CASE = 20_000  # foreground values that are kept of one case
CLIP = (0.5, 99.5)  # percentiles


@dataclass(frozen=True)
class Intensity:
    """The values of one channel in the foreground of all cases together.

    Attributes:
        mean, spread: and standard deviation.
        low, high: percentiles 0.5 and 99.5.
    """

    mean: float
    spread: float
    low: float
    high: float


@dataclass(frozen=True)
class Fingerprint:
    """Numbers of a data set; the order of its cases does not matter.

    Attributes:
        unit: of spacings: "mm", or "px" (all of them are 1 then) where files do not say.
        spacings: of each case, per axis.
        sizes: of each case in voxels, cropped to what is not zero.
        kept: median share of a case's voxels that the crop keeps.
        channels: their names; "CT" is a calibrated scale.
        intensities: of each channel.
        classes: their names, background first.
        counts: labelled voxels of each class.
    """

    spacings: tuple[Spacing, ...]
    sizes: tuple[Size, ...]
    kept: float
    channels: tuple[str, ...]
    intensities: tuple[Intensity, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    unit: str = "mm"

    @property
    def n_cases(self) -> int:
        return len(self.sizes)

    @property
    def n_axes(self) -> int:
        return len(self.sizes[0])


def fingerprint_of(cases: Iterable[Scene], channels: tuple[str, ...], *, seed: int = 0) -> Fingerprint:
    """Look at all labelled cases once, one at a time; in whatever order, the numbers are the same to the last bit.

    Of each case at most `PER_CASE` foreground voxels are kept, so that no case counts for more because it is larger.

    Args:
        cases: (*S, C) volumes or images with labels; class 0 is background. Voxels that hold no data are left out.
        channels: a name for each of C, "CT" for computed tomography.
        seed: draws the foreground values that are kept.

    Raises:
        SceneError: no case, other axes, channels or spacings than the others have, or values that are no numbers.
        LabelError: a case without labels, or with other classes than the one before.

    Source: Isensee et al., Nature Methods 18 (2021), "data fingerprint".
    """
    seen: list[tuple[Size, Spacing, float, NDArray[np.float64]]] = []
    classes: tuple[str, ...] | None = None
    units: dict[str, Scene] = {}  # the first case of each
    counts = np.zeros(0, np.int64)
    for case in cases:
        _check(case, channels, classes, axes=len(seen[0][0]) if seen else len(case.shape))
        classes = case.classes
        units.setdefault(case.grid.unit, case)
        known = np.where(case.labelled(), np.asarray(case.labels), -1)
        counts = _counts(known, len(classes)) + (counts if seen else 0)
        cube = np.asarray(case.cube[:])
        size = tuple(s.stop - s.start for s in nonzero_box(cube))
        values = _foreground(_called(case), cube[known > 0], np.random.default_rng(seed))
        seen.append((size, _spacing(case), prod(size) / prod(case.shape), values))
    if classes is None:
        raise SceneError("a data set without a labelled case has no fingerprint: give at least one image with labels.")
    if len(units) > 1:
        with_, without = (_called(units[unit]) for unit in sorted(units))  # "mm", "px"
        raise SceneError(
            f"{without}: its spacing is not known, that of {with_} is; all or none were expected. State it in a file "
            "spacing.csv with lines name,Z,Y,X (mm), or by --spacing."
        )
    seen.sort(key=lambda one: one[:3])
    foreground = np.sort(np.concatenate([values for *_, values in seen]), axis=0)  # sums do not depend on the order
    return Fingerprint(
        tuple(spacing for _, spacing, _, _ in seen), tuple(size for size, *_ in seen),
        float(np.median([kept for _, _, kept, _ in seen])), channels,
        tuple(_intensity(foreground[:, c]) for c in range(len(channels))), classes, tuple(map(int, counts)),
        next(iter(units)),
    )  # fmt: skip


def nonzero_box(cube: NDArray[np.generic]) -> tuple[slice, ...]:
    """The smallest box of a (*S, C) cube outside of which all channels are zero; all of it where all are."""
    return box_around((cube != 0).any(-1))


def _called(case: Scene) -> str:
    """Its file where it has one."""
    return case.source or case.name


def _check(case: Scene, channels: tuple[str, ...], classes: tuple[str, ...] | None, *, axes: int) -> None:
    if case.labels is None:
        raise LabelError(f"{_called(case)}: has no labels: a fingerprint is taken of labelled cases only.")
    if case.n_bands != len(channels):
        raise SceneError(f"{_called(case)}: {case.n_bands} channels, but {len(channels)} names: {', '.join(channels)}.")
    if len(case.shape) != axes:
        raise SceneError(
            f"{_called(case)}: has {len(case.shape)} axes, other cases have {axes}. Images and volumes do not mix: put "
            "them in two folders."
        )
    if classes is not None and case.classes != classes:
        raise LabelError(f"{_called(case)}: has classes {', '.join(case.classes)}; others have {', '.join(classes)}.")


def _counts(labels: NDArray[np.int16], n_classes: int) -> NDArray[np.int64]:
    """Voxels of each class, slice by slice: `bincount` makes eight bytes of each label."""
    found = np.zeros(n_classes, np.int64)
    for one in labels:
        found += np.bincount(one[one >= 0], minlength=n_classes)
    return found


def _spacing(case: Scene) -> Spacing:
    """Per axis; 1 where nobody says."""
    axes, given = len(case.shape), case.grid.spacing
    if case.grid.unit == "px":
        return (1.0,) * axes
    if len(given) != axes or not all(np.isfinite(n) and n > 0 for n in given):
        raise SceneError(f"{_called(case)}: spacing {given} for {axes} axes; expected one positive length per axis.")
    return tuple(map(float, given))


def _foreground(name: str, values: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.float64]:
    if len(values) > PER_CASE:
        values = values[rng.choice(len(values), PER_CASE, replace=False)]
    found = values.astype(np.float64)
    if not np.isfinite(found).all():
        raise SceneError(f"{name}: NaN or infinite values where something is labelled: mend the file, or leave it out.")
    return found


def _intensity(values: NDArray[np.float64]) -> Intensity:
    if not len(values):
        return Intensity(0.0, 1.0, 0.0, 1.0)
    low, high = np.percentile(values, CLIP)
    return Intensity(float(values.mean()), float(values.std()), float(low), float(high))
