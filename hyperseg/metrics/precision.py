"""How many of the boxes found are right, averaged over how many are found: average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError
from hyperseg.metrics.froc import Floats, Marks, Truth

OVERLAPS = tuple(round(0.1 + 0.05 * i, 2) for i in range(9))  # 0.1 to 0.5, as MONAI and nnDetection score LUNA16


def average_precision(found: Sequence[Marks], truth: Sequence[Truth], *, overlap: float) -> float:
    """The area under precision over recall of all scans together, 0 to 1.

    Boxes choose objects from the highest score to the lowest, each the object of its largest overlap (IoU) that is
    still free and overlaps enough; of equal scores the pair of larger overlap goes first. What finds none is false, a
    second box on an object too, but a box that overlaps an excluded finding enough counts for nothing. The precision at
    a recall is the best of all that reach it. Boxes of equal score pass a threshold together.

    Args:
        found: of every scan what was found, perhaps nothing.
        truth: of the same scans what is there.
        overlap: the least IoU, above 0 and at most 1.

    Source: Everingham et al., "The Pascal visual object classes challenge: a retrospective", IJCV 111 (2015).
    Differs: exact area, where COCO reads it at 101 recalls.

    Raises:
        LabelError: no object in any scan.
        SettingError: lists of different length, or an overlap out of its range.
    """
    if not 0 < overlap <= 1:
        raise SettingError(f"an overlap is a number above 0 and at most 1, got {overlap}.")
    if len(found) != len(truth):
        raise SettingError(f"boxes and truth are of the same scans; got lists of {len(found)} and {len(truth)}.")
    objects = sum(len(there.boxes) for there in truth)
    if not objects:
        raise LabelError(f"no object in any of {len(truth)} scans: there is nothing that could be found.")
    told = [_told(marks, there, overlap) for marks, there in zip(found, truth, strict=True)]
    scores, right = np.concatenate([s for s, _ in told]), np.concatenate([r for _, r in told])
    return area_under(scores, right, objects)


def area_under(scores: Floats, right: NDArray[np.bool_], objects: int) -> float:
    """The area under precision over recall of answers (N,) with scores, some of them right, among so many objects.

    The precision at a recall is the best of all that reach it; answers of equal score pass a threshold together.
    """
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], len(scores) > 0))
    hits = np.cumsum(right)[last]
    precision = np.maximum.accumulate((hits / (last + 1))[::-1])[::-1]
    return float((np.diff(hits, prepend=0) * precision).sum() / objects)


def chosen(scores: Floats, values: Floats, overlap: float) -> NDArray[np.bool_]:
    """(N,) whether each answer finds an object, by its IoU (N, M) with each: from the highest score to the lowest.

    Each takes the object of its largest IoU that is still free and at least `overlap`; of equal scores the pair of
    larger IoU goes first.
    """
    answer, thing = np.nonzero(values >= overlap)
    right, taken = np.zeros(values.shape[0], bool), np.zeros(values.shape[1], bool)
    for pair in np.lexsort((-values[answer, thing], -scores[answer])):
        i, j = answer[pair], thing[pair]
        if not right[i] and not taken[j]:
            right[i] = taken[j] = True
    return right


def mean_average_precision(
    found: Sequence[Marks], truth: Sequence[Truth], *, overlaps: Sequence[float] = OVERLAPS
) -> float:
    """The mean of `average_precision` over overlaps; by default those in use for nodules, from 0.1 to 0.5.

    Raises:
        LabelError, SettingError: as `average_precision`; no overlap at all.
    """
    if not len(overlaps):
        raise SettingError("a mean over overlaps needs at least one of them.")
    return float(np.mean([average_precision(found, truth, overlap=overlap) for overlap in overlaps]))


def _told(marks: Marks, truth: Truth, overlap: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores of what counts in one scan, and whether it is right."""
    scores = np.asarray(marks.scores, np.float64)
    right = chosen(scores, _iou(marks.boxes, truth.boxes), overlap)
    if truth.excluded is None:
        return scores, right
    counts = right | ~(_iou(marks.boxes, truth.excluded) >= overlap).any(1)
    return scores[counts], right[counts]


def _iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """(N, 2n) and (M, 2n) -> (N, M) intersection over union."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    if a.shape[1] != b.shape[1]:
        raise SettingError(f"boxes of {b.shape[1] // 2} axes were compared with boxes of {a.shape[1] // 2} axes.")
    n = a.shape[1] // 2
    shared = np.ones((len(a), len(b)))
    for k in range(n):
        shared *= (np.minimum(a[:, None, n + k], b[:, n + k]) - np.maximum(a[:, None, k], b[:, k])).clip(0)
    all_a, all_b = ((boxes[:, n:] - boxes[:, :n]).clip(0).prod(1) for boxes in (a, b))
    return np.asarray(shared / np.maximum(all_a[:, None] + all_b - shared, np.finfo(float).tiny))
