"""Panoptic quality: how well objects that were found are drawn, times how many were found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hyperseg.metrics.instances.precision import Ints, mask_iou

HIT = 0.5  # an object has more than half in common with one other at most


@dataclass(frozen=True)
class Panoptic:
    """Counts of one image, or of many: `+` adds them.

    Attributes:
        hits, false, missed: objects found, found where there are none, and not found.
        overlap: the sum of the IoU of hits.
    """

    hits: int = 0
    false: int = 0
    missed: int = 0
    overlap: float = 0.0

    def __add__(self, other: Panoptic) -> Panoptic:
        return Panoptic(
            self.hits + other.hits, self.false + other.false, self.missed + other.missed, self.overlap + other.overlap
        )

    @property
    def drawn(self) -> float:
        """Segmentation quality (SQ): the mean IoU of hits; nan without any."""
        return self.overlap / self.hits if self.hits else float("nan")

    @property
    def recognised(self) -> float:
        """Recognition quality (RQ): the F1 of objects; nan where there are none, neither true nor found."""
        every = self.hits + (self.false + self.missed) / 2
        return self.hits / every if every else float("nan")

    @property
    def quality(self) -> float:
        """PQ = SQ * RQ: 0 without a hit; nan where there are no objects, neither true nor found."""
        every = self.hits + (self.false + self.missed) / 2
        return self.overlap / every if every else float("nan")


def panoptic(found: Ints, truth: Ints) -> Panoptic:
    """Counts of one image from two maps (*S) of objects, 0 background; a hit has an IoU above 0.5.

    Source: Kirillov et al., "Panoptic segmentation", arXiv 1801.00868.
    Differs: one class of things; no pixels are left out.

    Raises:
        LabelError: maps of unlike shapes, or numbers below 0.
    """
    iou = mask_iou(found, truth)
    same = iou > HIT
    hits = int(same.sum())
    return Panoptic(hits, iou.shape[0] - hits, iou.shape[1] - hits, float(iou[same].sum()))


def panoptic_of(pairs: Iterable[tuple[Ints, Ints]]) -> Panoptic:
    """Counts of many images together, each found and true; an image of many objects counts more than one of few."""
    total = Panoptic()
    for found, truth in pairs:
        total = total + panoptic(found, truth)
    return total
