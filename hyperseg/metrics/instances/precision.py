"""Objects found against objects that are there, pixel by pixel: average precision of masks, and the nuclei score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics.froc import Floats
from hyperseg.metrics.precision import area_under, chosen

Ints = NDArray[np.integer]
OVERLAPS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))  # 0.5 to 0.95, as COCO and the nuclei challenge score


@dataclass(frozen=True)
class Instances:
    """Objects that were found in one image.

    Attributes:
        map: (*S) whole numbers: 0 is background, every other number an object.
        scores: (N), one for each object in the order of their numbers; higher is surer.

    Raises:
        LabelError: another number of scores than objects, scores that are not finite, or numbers below 0.
    """

    map: Ints
    scores: Floats

    def __post_init__(self) -> None:
        n = len(ids_of(self.map))
        if np.shape(self.scores) != (n,) or not np.isfinite(self.scores).all():
            raise LabelError(f"{n} objects need a finite score each, got shape {np.shape(self.scores)}.")


def ids_of(instances: Ints) -> Ints:
    """(N,) numbers of the objects in a map, ascending, without 0.

    Raises:
        LabelError: no whole numbers, or some below 0.
    """
    ids = np.unique(_checked(instances))
    return ids[ids > 0]


def mask_iou(a: Ints, b: Ints) -> Floats:
    """(N, M) intersection over union of the objects in two maps (*S), in the order of their numbers.

    Every pixel is counted once, however many objects there are.

    Raises:
        LabelError: maps of unlike shapes, or numbers below 0.
    """
    if a.shape != b.shape:
        raise LabelError(f"instance maps of one image have one shape; got {a.shape} and {b.shape}.")
    ids_a, places_a = np.unique(_checked(a), return_inverse=True)
    ids_b, places_b = np.unique(_checked(b), return_inverse=True)
    n, m = len(ids_a), len(ids_b)
    shared = np.bincount(places_a.ravel() * m + places_b.ravel(), minlength=n * m).reshape(n, m)
    union = shared.sum(1)[:, None] + shared.sum(0) - shared
    every = shared / np.maximum(union, 1)
    return np.asarray(every[ids_a > 0][:, ids_b > 0])


def mask_average_precision(found: Sequence[Instances], truth: Sequence[Ints], *, overlap: float) -> float:
    """The area under precision over recall of all images together, 0 to 1; nan where no image has an object.

    Objects found choose true objects from the highest score to the lowest, each that of its largest IoU which is still
    free and at least `overlap`. What finds none is false. All is as for boxes in `metrics.precision`.

    Args:
        found: of every image.
        truth: (*S) true objects of the same images.
        overlap: the least IoU, above 0 and at most 1.

    Source: Lin et al., "Microsoft COCO: common objects in context", arXiv 1405.0312.
    Differs: exact area, where COCO reads it at 101 recalls; no crowds; no limit to objects of an image.

    Raises:
        SettingError: lists of different length, or an overlap out of its range.
        LabelError: maps of unlike shapes, or numbers below 0.
    """
    return mean_mask_average_precision(found, truth, overlaps=(overlap,))


def mean_mask_average_precision(
    found: Sequence[Instances], truth: Sequence[Ints], *, overlaps: Sequence[float] = OVERLAPS
) -> float:
    """The mean of `mask_average_precision` over overlaps, by default from 0.5 to 0.95; nan without true objects.

    Raises:
        SettingError, LabelError: as `mask_average_precision`; no overlap at all.
    """
    if not len(overlaps) or not all(0 < overlap <= 1 for overlap in overlaps):
        raise SettingError(f"overlaps are numbers above 0 and at most 1, at least one; got {tuple(overlaps)}.")
    _paired(found, truth)
    values = [mask_iou(one.map, there) for one, there in zip(found, truth, strict=True)]
    objects = sum(iou.shape[1] for iou in values)
    if not objects:
        return float("nan")
    scores = np.concatenate([np.asarray(one.scores, np.float64) for one in found])
    areas = []
    for overlap in overlaps:
        right = [chosen(one.scores, iou, overlap) for one, iou in zip(found, values, strict=True)]
        areas.append(area_under(scores, np.concatenate(right), objects))
    return float(np.mean(areas))


def nuclei_score(found: Sequence[Ints], truth: Sequence[Ints], *, overlaps: Sequence[float] = OVERLAPS) -> float:
    """Hits / (hits + false + missed), the mean over overlaps and then over images; scores of objects are not needed.

    An object is a hit where its IoU with a true one is above the overlap, which one alone can have. An image without
    true objects counts 1 where none was found, else 0; nan where there is no image.

    Args:
        found, truth: (*S) maps of the same images.
        overlaps: 0.5 or more and below 1.

    Source: Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl", Nature
    Methods 16 (2019).

    Raises:
        SettingError: lists of different length, or overlaps out of their range.
        LabelError: maps of unlike shapes, or numbers below 0.
    """
    if not len(overlaps) or not all(0.5 <= overlap < 1 for overlap in overlaps):
        raise SettingError(f"overlaps are numbers from 0.5 and below 1, at least one; got {tuple(overlaps)}.")
    _paired(found, truth)
    images = []
    for one, there in zip(found, truth, strict=True):
        iou = mask_iou(one, there)
        hits = [int((iou > overlap).sum()) for overlap in overlaps]
        images.append(np.mean([hit / (sum(iou.shape) - hit) if sum(iou.shape) else 1.0 for hit in hits]))
    return float(np.mean(images)) if images else float("nan")


def _paired(found: Sequence[object], truth: Sequence[object]) -> None:
    if len(found) != len(truth):
        raise SettingError(f"objects and truth are of the same images; got lists of {len(found)} and {len(truth)}.")


def _checked(instances: Ints) -> Ints:
    if instances.dtype.kind not in "iu" or (instances.size and instances.min() < 0):
        raise LabelError(f"an instance map has whole numbers from 0 (background) on, this one is {instances.dtype}.")
    return instances
