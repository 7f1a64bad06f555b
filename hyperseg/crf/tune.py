"""Choosing the settings of a refiner on validation pixels, "do nothing" being one of the choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, SceneError, SegmentationMap
from hyperseg.crf.dense import refine
from hyperseg.crf.settings import DenseCRF, Engine
from hyperseg.filters.kernels import Kernels

Settings = TypeVar("Settings")

ROUNDING = 1e-9  # as a share of a gain
LOG_FLOOR = 1e-12  # a probability of zero counts as this, so that one pixel cannot decide alone


@dataclass(frozen=True)
class Candidate(Generic[Settings]):
    """One row of the table: settings (None for "do nothing") and how they did on validation pixels.

    Attributes:
        settings: the settings, or None.
        score: share of validation pixels that are right.
        log_likelihood: mean log probability of the true class, in nats.
        changed: share of validation pixels whose label changed.
        gain: mean over classes of the rise in the share of right pixels, against what stands unless it is beaten.
        gain_error: standard error of `gain` over classes.
    """

    settings: Settings | None
    score: float
    log_likelihood: float
    changed: float
    gain: float = 0.0
    gain_error: float = 0.0

    def convincing(self, errors: float = 1.0) -> bool:
        """The gain exceeds so many of its standard errors: what rests on one lucky class is no reason.

        A gain in a single class is exactly one standard error, and rounding must not make it more.
        """
        return self.gain > errors * self.gain_error * (1 + ROUNDING)


@dataclass(frozen=True)
class Tuned(Generic[Settings]):
    """What tuning chose and why.

    Attributes:
        settings: the best settings, or None where nothing beat leaving the map alone.
        table: all candidates as they were tried, "do nothing" first.
        n_pixels: number of validation pixels the scores rest on.
    """

    settings: Settings | None
    table: tuple[Candidate[Settings], ...]
    n_pixels: int


@dataclass(frozen=True)
class ClassChange:
    """What a refiner did to the pixels of one true class.

    Attributes:
        name: class name.
        pixels: pixels of the class.
        changed: pixels whose label changed; wrong to wrong included.
        fixed: wrong before, right after.
        broken: right before, wrong after.
    """

    name: str
    pixels: int
    changed: int
    fixed: int
    broken: int


def default_candidates() -> tuple[DenseCRF, ...]:
    """20 settings: few widths and weights around the customary ones, weak smoothing included (our choice)."""
    gaussian_only = (DenseCRF(gaussian_weight=weight, bilateral_weight=0) for weight in (1.0, 3.0))
    widths_and_weights = product((15.0, 80.0), (5.0, 13.0, 30.0), ((1.0, 3.0), (3.0, 3.0), (3.0, 10.0)))
    both = (
        DenseCRF(gaussian_weight=g, bilateral_weight=b, bilateral_sxy_px=sxy, bilateral_sfeature=sfeature)
        for sxy, sfeature, (g, b) in widths_and_weights
    )
    return (*gaussian_only, *both)


def tune(
    map: SegmentationMap,
    guide: NDArray[np.floating],
    labels: NDArray[np.int16],
    val_mask: NDArray[np.bool_],
    *,
    candidates: Sequence[DenseCRF] | None = None,
    engine: Engine = "lattice",
    device: str | torch.device = "cpu",
    kernels: Kernels | None = None,
) -> Tuned[DenseCRF]:
    """Try every setting of the dense CRF on the whole map and keep the best on validation pixels: see `choose`.

    Args:
        map: (*S, K) map to refine.
        guide: (*S, F) guide.
        labels, val_mask: as in `choose`, errors too.
        candidates: default `default_candidates()`.
        engine, device, kernels: as in `refine`; a kernel is built once for all candidates of the same widths.
    """
    tried = list(default_candidates() if candidates is None else candidates)
    shared = kernels or Kernels(guide, valid=map.valid, device=device)

    def refined() -> Iterator[tuple[DenseCRF, SegmentationMap]]:
        # in the order of bilateral widths, so that `Kernels` builds each kernel once and holds one at a time
        for settings in sorted(tried, key=lambda s: (s.bilateral_sxy_px, s.bilateral_sfeature)):
            yield settings, refine(map, guide, settings, engine=engine, kernels=shared)

    return choose(map, refined(), labels, val_mask, order=tried)


def choose(
    map: SegmentationMap,
    refined: Iterable[tuple[Settings, SegmentationMap]],
    labels: NDArray[np.int16],
    val_mask: NDArray[np.bool_],
    *,
    order: Sequence[Settings] | None = None,
    usual: Settings | None = None,
    errors: float = 1.0,
) -> Tuned[Settings]:
    """The settings whose refined map is best on validation pixels, or None where leaving the map alone is.

    The map stays as it is, or as the `usual` settings make it, unless a candidate has a better score and its mean gain
    per class is larger than the standard error of that gain. The error is over classes and not over pixels, because the
    pixels of a class come from few parcels and are right or wrong together. Of equal scores, the one with the higher
    mean log-likelihood is taken, then the earlier one.

    Args:
        map: (*S, K) map that was refined.
        refined: settings and the map they gave; asked for only once the mask was found to hold pixels.
        labels: (*S) true classes, -1 unlabelled.
        val_mask: (*S) bool; only its labelled, valid pixels are looked at. Never give test pixels.
        order: of the table's rows, where it is not that of `refined`.
        usual: settings of a refiner that was itself fitted to the scene; they are taken unless other settings, or
            leaving the map alone, do better as said above. `refined` begins with them.
        errors: standard errors by which a gain must exceed 0 to count.

    Raises:
        LabelError: no labelled, valid pixel in the mask.
        SceneError: labels or mask of another shape than the map.
    """
    chosen = _scored_pixels(map, labels, val_mask)
    if not chosen.any():
        raise LabelError(
            "choosing a refiner's settings needs validation pixels with a label and data, but the mask holds none. "
            "Give the split a validation part, or pass settings instead of tuning."
        )
    truth = labels[chosen]
    before = map.labels()[chosen]

    def judge(settings: Settings | None, after: SegmentationMap) -> Candidate[Settings]:
        predicted = after.labels()[chosen]
        true_probs = after.probs[chosen][np.arange(len(truth)), truth]
        likelihood = float(np.log(np.maximum(true_probs, LOG_FLOOR)).mean())
        right, changed = predicted == truth, float(np.mean(predicted != before))
        gain, error = class_gain(reference == truth, right, truth)
        return Candidate(settings, float(np.mean(right)), likelihood, changed, gain, error)

    reference = before
    judged: list[Candidate[Settings]] = []
    for settings, after in refined:
        if usual is not None and not judged:
            reference = after.labels()[chosen]
        judged.append(judge(settings, after))
    if order is not None:
        judged.sort(key=lambda row: list(order).index(row.settings))  # type: ignore[arg-type]
    table = (judge(None, map), *judged)
    allowed = [row for row in table if row.settings == usual or row.convincing(errors)]
    best = max(allowed, key=lambda row: (row.score, row.settings == usual, row.log_likelihood))
    return Tuned(settings=best.settings, table=table, n_pixels=len(truth))


def changes(
    before: SegmentationMap, after: SegmentationMap, labels: NDArray[np.int16], mask: NDArray[np.bool_]
) -> tuple[ClassChange, ...]:
    """Per true class: how many pixels a refiner changed, fixed and broke.

    Args:
        before, after: (*S, K) maps.
        labels: (*S) true classes, -1 unlabelled.
        mask: (*S) bool, pixels to count, e.g. `split.test`; unlabelled and no-data pixels are left out.

    Returns:
        One `ClassChange` per class, in the order of `before.classes`; zeros for a class without pixels.
    """
    if after.probs.shape != before.probs.shape:
        raise SceneError(f"maps of shape {before.probs.shape} and {after.probs.shape} cannot be compared.")
    counted = _scored_pixels(before, labels, mask)
    truth = labels[counted]
    old, new = before.labels()[counted], after.labels()[counted]

    def count(pixels: NDArray[np.bool_]) -> list[int]:
        return [int(n) for n in np.bincount(truth[pixels], minlength=len(before.classes))]

    columns = zip(
        before.classes,
        count(np.ones(len(truth), bool)),
        count(old != new),
        count((old != truth) & (new == truth)),
        count((old == truth) & (new != truth)),
        strict=True,
    )
    return tuple(ClassChange(*row) for row in columns)


def class_gain(before: NDArray[np.bool_], after: NDArray[np.bool_], truth: NDArray[np.int16]) -> tuple[float, float]:
    """Mean over classes of the rise in the share of right pixels, and its standard error over classes.

    Args:
        before, after: (n,) whether each pixel is right.
        truth: (n,) true classes; with a single class the error is that of the mean over pixels.
    """
    rise = after.astype(np.float64) - before
    classes = np.unique(truth)
    rises = np.array([rise[truth == k].mean() for k in classes]) if len(classes) > 1 else rise
    error = rises.std(ddof=1) / np.sqrt(len(rises)) if len(rises) > 1 else np.inf
    return float(rises.mean()), float(error)


def _scored_pixels(map: SegmentationMap, labels: NDArray[np.int16], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for what, array in (("labels", labels), ("mask", mask)):
        if array.shape != map.shape:
            raise SceneError(f"the {what} have shape {array.shape}, the map's pixels are {map.shape}.")
    pixels = mask.astype(bool) & (labels != UNLABELLED)
    return pixels if map.valid is None else pixels & map.valid
