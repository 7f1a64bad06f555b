"""Candidates of a score map or a detector, and how many targets they find at how many false alarms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hyperseg.recipes.detection.scene.parts import Parts

Float64 = NDArray[np.float64]

APART_PX = 2.0  # two candidates of one method lie farther apart than this
NEAR_PX = 1.0  # a candidate hits a target whose box, grown by this on all sides, holds its centre
RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # false alarms per 10,000 pixels at which targets found are counted
AREA = 1e4


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where targets may be, best first.

    Attributes:
        boxes: (n, 4) lowest row and column, and those behind the last.
        scores: (n,) falling.
    """

    boxes: Float64
    scores: Float64

    @property
    def centres(self) -> Float64:
        """(n, 2) row and column; those of a pixel's middle end on .5."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    def only(self, which: NDArray[np.bool_]) -> Candidates:
        return Candidates(self.boxes[which], self.scores[which])

    def within(self, parts: Parts, part: int) -> Candidates:
        """Those whose centre lies in a part of the scene."""
        return self.only(parts.of(self.centres) == part)


def ranked(boxes: ArrayLike, scores: ArrayLike, *, most: int | None = None) -> Candidates:
    """Candidates best first, of any two closer than `APART_PX` the better one alone; at most `most`."""
    from scipy.spatial import cKDTree

    values = np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    every = Candidates(np.asarray(boxes, np.float64).reshape(-1, 4)[order], values[order])
    keep = np.ones(len(order), bool)
    near = cKDTree(every.centres).query_ball_point(every.centres, APART_PX) if len(order) else []
    for i, others in enumerate(near):
        if keep[i]:
            keep[[j for j in others if j > i]] = False
    found = every.only(keep)
    return Candidates(found.boxes[:most], found.scores[:most])


def merged(several: Iterable[Candidates]) -> Candidates:
    """Candidates of several places as one list."""
    each = list(several)
    return ranked(np.concatenate([c.boxes for c in each]), np.concatenate([c.scores for c in each]))


def peaks(
    score: NDArray[np.floating], valid: NDArray[np.bool_] | None = None, *, most: int | None = None
) -> Candidates:
    """Local maxima of an (H, W) score map: pixels that none of their 8 neighbours exceeds; boxes of one pixel."""
    values = np.where(np.isfinite(score), score, -np.inf)
    if valid is not None:
        values = np.where(valid, values, -np.inf)
    top = (values == ndimage.maximum_filter(values, 3, mode="constant", cval=-np.inf)) & np.isfinite(values)
    at = np.argwhere(top).astype(np.float64)
    scores = values[top]
    if most is not None and len(scores) > 4 * most:
        best = np.argsort(-scores, kind="stable")[: 4 * most]
        at, scores = at[best], scores[best]
    return ranked(np.hstack([at, at + 1]), scores, most=most)


@dataclass(frozen=True, eq=False)
class Found:
    """How candidates and targets meet.

    Attributes:
        at: (m,) score at which each target is found; -inf for never.
        false: (k,) scores of false alarms, falling.
        area_px: pixels in which candidates were sought.
    """

    at: Float64
    false: Float64
    area_px: float

    def threshold(self, rate: float) -> float:
        """Score that so many false alarms per 10,000 pixels pass at most, rounded down to whole ones."""
        allowed = int(rate * self.area_px / AREA + 1e-9)
        return float(self.false[allowed]) if allowed < len(self.false) else -np.inf

    def sensitivity(self, rate: float) -> float:
        """Share of the targets that score above `threshold`; NaN where there is none."""
        return float((self.at > self.threshold(rate)).mean()) if len(self.at) else float("nan")

    @property
    def mean(self) -> float:
        """Mean sensitivity over `RATES`."""
        return float(np.mean([self.sensitivity(rate) for rate in RATES]))


def pixels_of(box: ArrayLike, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Pixels whose middle a box (4) holds; at least one, inside of a scene of this shape."""
    ends, size = np.asarray(box, np.float64), np.array(shape)
    low = np.clip(np.floor(ends[:2] + 0.5).astype(int), 0, size - 1)
    high = np.maximum(np.ceil(ends[2:] - 0.5).astype(int), low + 1)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def painted(found: Candidates, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) map of candidates: the best score of those whose box holds a pixel, 0 without, NaN off `valid`."""
    out = np.zeros(valid.shape, np.float32)
    for box, score in zip(found.boxes[::-1], found.scores[::-1], strict=True):  # the best one last
        out[pixels_of(box, valid.shape)] = score
    return np.where(valid, out, np.float32(np.nan))


def compared(
    found: Candidates,
    targets: ArrayLike,
    *,
    area_px: float,
    excluded: NDArray[np.bool_] | None = None,
    near_px: float = NEAR_PX,
) -> Found:
    """Candidates against true boxes, by the rule that LUNA16 has, with a distance of our own.

    A candidate hits every target whose box, grown by `near_px` on all sides, holds its centre; a target is found at its
    best candidate. Further candidates on a target, and those on `excluded` pixels or beside them, are no
    false alarms.

    Args:
        targets: (m, 4) boxes.
        excluded: (H, W) bool, pixels where something else is known to be; or None.
        area_px: pixels in which candidates were sought.
    """
    on = _inside(found.centres, np.asarray(targets, np.float64).reshape(-1, 4), near_px)
    at = np.where(on, found.scores[:, None], -np.inf).max(0, initial=-np.inf)
    free = np.asarray(~on.any(1), bool)
    if excluded is not None and len(free):
        beside = ndimage.binary_dilation(excluded, np.ones((3, 3)))
        rows, columns = np.clip(np.floor(found.centres).astype(int), 0, np.array(excluded.shape) - 1).T
        free &= ~beside[rows, columns]
    return Found(at, found.scores[free], area_px)


def pooled(several: Iterable[Found]) -> Found:
    """Several scenes as one."""
    each = list(several)
    return Found(
        np.concatenate([f.at for f in each]),
        -np.sort(-np.concatenate([f.false for f in each])),
        sum(f.area_px for f in each),
    )


def _inside(centres: Float64, boxes: Float64, near_px: float) -> NDArray[np.bool_]:
    """(n, m) whether each box, grown, holds each centre."""
    c = centres[:, None]
    return np.asarray(((c >= boxes[None, :, :2] - near_px) & (c <= boxes[None, :, 2:] + near_px)).all(-1))
