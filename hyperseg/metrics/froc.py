"""How many objects a detector finds at the price of how many false alarms in a scan: the FROC curve and its CPM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError

Floats = NDArray[np.float64]
Spacings = Sequence[Sequence[float]]
RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)  # false positives per scan, as LUNA16 asks for
RESAMPLES = 1000


@dataclass(frozen=True)
class Marks:
    """What a detector found in one scan.

    Attributes:
        boxes: (N, 2n) in voxels, (lo..., hi...).
        scores: (N), higher is surer.

    Raises:
        LabelError: shapes that do not belong together, or numbers that are not finite.
    """

    boxes: NDArray[np.floating]
    scores: NDArray[np.floating]

    def __post_init__(self) -> None:
        _check(self.boxes, "found boxes")
        if np.shape(self.scores) != (len(self.boxes),) or not np.isfinite(self.scores).all():
            raise LabelError(f"{len(self.boxes)} boxes need a finite score each, got shape {np.shape(self.scores)}.")


@dataclass(frozen=True)
class Truth:
    """What there is to find in one scan.

    Attributes:
        boxes: (M, 2n) in voxels.
        excluded: (E, 2n) findings that count neither as hits nor as false positives; None is none.

    Raises:
        LabelError: another shape, or numbers that are not finite.
    """

    boxes: NDArray[np.floating]
    excluded: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        _check(self.boxes, "true boxes")
        if self.excluded is not None:
            _check(self.excluded, "excluded boxes")


@dataclass(frozen=True)
class Curve:
    """The operating points of a detector, from its highest threshold to its lowest; all of one score pass together.

    Attributes:
        rates: (P) false positives per scan, 0 at first, never falling.
        sensitivities: (P) share of the objects, 0 at first, never falling.
        thresholds: (P) scores from which a mark counts; infinite at first.
    """

    rates: Floats
    sensitivities: Floats
    thresholds: Floats

    def at(self, rate: float) -> float:
        """Sensitivity at so many false positives per scan: on the straight line between two operating points.

        A point on that line is reached by taking the one threshold in some scans and the other in the rest. Where
        several points have this rate it is the best of them; beyond the last point it is that of the last.
        """
        i = int(np.searchsorted(self.rates, rate, side="right")) - 1
        if i < 0 or i + 1 == len(self.rates):
            return float(self.sensitivities[max(i, 0)])
        part = (rate - self.rates[i]) / (self.rates[i + 1] - self.rates[i])
        return float(self.sensitivities[i] + part * (self.sensitivities[i + 1] - self.sensitivities[i]))

    def threshold(self, rate: float) -> float:
        """The lowest threshold with at most so many false positives per scan; infinite where there is none."""
        return float(self.thresholds[np.flatnonzero(self.rates <= rate)[-1]])


@dataclass(frozen=True)
class Froc:
    """The free-response curve.

    Attributes:
        rates: the false positives per scan that were asked for.
        sensitivities: at these rates, 0 to 1.
        cpm: their mean, the competition performance metric.
        curve: all operating points.
        scans, objects: how many there are.
    """

    rates: tuple[float, ...]
    sensitivities: tuple[float, ...]
    cpm: float
    curve: Curve
    scans: int
    objects: int


def froc(
    found: Sequence[Marks], truth: Sequence[Truth], *, spacings: Spacings | None = None, rates: Sequence[float] = RATES
) -> Froc:
    """The FROC curve of a detector over all scans.

    A mark hits an object if the distance of their centres is below the object's radius: half of the mean length of
    its box. It hits every object that it is so near to. An object counts with the best score of its marks; further
    marks on it are no false positives. A mark on an excluded finding alone counts for nothing. All others are false
    positives. Marks of equal score pass a threshold together, so that their order does not matter.

    Args:
        found: of every scan what was found, perhaps nothing.
        truth: of the same scans what is there, perhaps nothing in some.
        spacings: of every scan the n lengths of a voxel in mm; distances are in voxels where it is left out.
        rates: false positives per scan to read the curve at; between operating points as `Curve.at` says.

    Source: Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of pulmonary
    nodules in computed tomography images: the LUNA16 challenge", Medical Image Analysis 42 (2017), section 3.2.
    Differs: radiologists' diameters are not in a box, so the radius is taken from the box. Their script gives every
    mark of equal score a place of its own.

    Raises:
        LabelError: no object in any scan.
        SettingError: lists of different length, or a rate below 0.
    """
    events = _events(found, truth, spacings)
    curve = _curve(events, np.ones(events.scans))
    read, cpm = _read(curve, rates)
    return Froc(tuple(map(float, rates)), read, cpm, curve, events.scans, int(events.objects.sum()))


def cpm_interval(
    found: Sequence[Marks], truth: Sequence[Truth], *, seed: int, spacings: Spacings | None = None,
    rates: Sequence[float] = RATES, level: float = 0.95, resamples: int = RESAMPLES,
) -> tuple[float, float]:  # fmt: skip
    """Where the CPM lies for other scans of this kind: percentiles over draws of as many scans with replacement.

    It tells nothing of what another training would do. Draws without any object are left out.

    Args:
        seed: of the draws.
        level: share of the draws inside the interval.

    Source: Setio et al. 2017, section 3.2 (1000 bootstraps of scans).

    Raises:
        LabelError, SettingError: as `froc`; a level that is not between 0 and 1.
    """
    if not 0 < level < 1 or resamples < 1:
        raise SettingError(f"an interval needs a level between 0 and 1 and draws, got {level} and {resamples}.")
    events = _events(found, truth, spacings)
    drawn = np.random.default_rng(seed).multinomial(events.scans, np.full(events.scans, 1 / events.scans), resamples)
    there = drawn[drawn @ events.objects > 0]
    values = [_read(_curve(events, times), rates)[1] for times in there.astype(np.float64)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def hits(
    marks: NDArray[np.floating], objects: NDArray[np.floating], spacing: Sequence[float] | None = None
) -> NDArray[np.bool_]:
    """(N, 2n) and (M, 2n) -> (N, M) which mark's centre is nearer to that of which object than the object's radius.

    The radius is half of the mean length of the object's box: in mm with a spacing (n), in voxels without.

    Raises:
        SettingError: boxes of other axes than each other or the spacing.
    """
    if not len(marks) or not len(objects):
        return np.zeros((len(marks), len(objects)), bool)
    n = objects.shape[1] // 2
    if marks.shape[1] != 2 * n or (spacing is not None and len(spacing) != n):
        given = "" if spacing is None else f" and a spacing of {len(spacing)}"
        raise SettingError(f"boxes of {n} axes were compared with boxes of {marks.shape[1] // 2} axes{given}.")
    unit = np.ones(n) if spacing is None else np.asarray(spacing, np.float64)
    a, b = ((boxes[:, :n] + boxes[:, n:]) / 2 * unit for boxes in (marks, objects))
    radius = ((objects[:, n:] - objects[:, :n]) * unit).mean(1) / 2
    square = sum((a[:, None, k] - b[None, :, k]) ** 2 for k in range(n))
    return np.asarray(square < radius**2)


@dataclass(frozen=True)
class _Events:
    """What happens as the threshold falls, best score first: an object is found, or a false positive passes.

    Attributes:
        scores, scan, hit: (V) each; `hit` is False for false positives.
        objects: (scans) how many objects each has.
    """

    scores: Floats
    scan: NDArray[np.int64]
    hit: NDArray[np.bool_]
    objects: NDArray[np.int64]

    @property
    def scans(self) -> int:
        return len(self.objects)


def _events(found: Sequence[Marks], truth: Sequence[Truth], spacings: Spacings | None) -> _Events:
    if len(found) != len(truth) or (spacings is not None and len(spacings) != len(truth)):
        lengths = f"{len(found)} and {len(truth)}" + ("" if spacings is None else f", with {len(spacings)} spacings")
        raise SettingError(f"marks and truth are of the same scans, in the same order; got lists of {lengths}.")
    objects = np.array([len(t.boxes) for t in truth], np.int64)
    if not objects.sum():
        raise LabelError(f"no object in any of {len(truth)} scans: there is nothing that could be found.")
    parts = []
    for i, (marks, there) in enumerate(zip(found, truth, strict=True)):
        best, alarms = _told(marks, there, None if spacings is None else spacings[i])
        best = best[np.isfinite(best)]
        hit = np.arange(len(best) + len(alarms)) < len(best)
        parts.append((np.concatenate([best, alarms]), np.full(len(hit), i), hit))
    scores, scan, hit = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    return _Events(scores[order], scan[order], hit[order], objects)


def _told(marks: Marks, truth: Truth, spacing: Sequence[float] | None) -> tuple[Floats, Floats]:
    """(M) the best score on every object, -inf without any, and the scores of false positives."""
    scores = np.asarray(marks.scores, np.float64)
    near = hits(marks.boxes, truth.boxes, spacing)
    best = np.where(near, scores[:, None], -np.inf).max(0, initial=-np.inf)
    beside = near.any(1)
    if truth.excluded is not None:
        beside |= hits(marks.boxes, truth.excluded, spacing).any(1)
    return best, scores[~beside]


def _curve(events: _Events, times: Floats) -> Curve:
    """The curve where every scan is there so many times."""
    weight = times[events.scan]
    last = np.flatnonzero(np.append(events.scores[1:] != events.scores[:-1], len(events.scores) > 0))
    hits, alarms = (np.cumsum(weight * kind)[last] for kind in (events.hit, ~events.hit))
    return Curve(
        rates=np.append(0.0, alarms / times.sum()),
        sensitivities=np.append(0.0, hits / (times @ events.objects)),
        thresholds=np.append(np.inf, events.scores[last]),
    )


def _read(curve: Curve, rates: Sequence[float]) -> tuple[tuple[float, ...], float]:
    if not len(rates) or not all(rate >= 0 for rate in rates):
        raise SettingError(f"false positives per scan are numbers from 0, at least one, got {tuple(rates)}.")
    read = tuple(curve.at(rate) for rate in rates)
    return read, float(np.mean(read))


def _check(boxes: NDArray[np.floating], what: str) -> None:
    shape = np.shape(boxes)
    if len(shape) != 2 or shape[1] % 2 or not shape[1]:
        raise LabelError(f"{what} of n axes are an array (boxes, 2n), (0, 2n) where there is none; got shape {shape}.")
    if not np.isfinite(boxes).all():
        raise LabelError(f"{what} are finite numbers of voxels.")
