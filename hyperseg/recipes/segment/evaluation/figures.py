"""What an answer to an image is worth, and what the answers of networks to many images come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED
from hyperseg.metrics.calibration import Bin, Reliability, reliability
from hyperseg.metrics.ensembles import brier, diversity, energy_distance, error_auroc
from hyperseg.metrics.overlap import Overlap, dice, overlap
from hyperseg.recipes.segment.prediction.answer import Answer, Floats, Labels
from hyperseg.recipes.segment.scoring import Scored

PART = 2**20  # pixels whose calibration is worked out at once
DIGITS = 6  # of doubts: what rounding alone tells apart is one


@dataclass(frozen=True)
class Worth:
    """What one answer is worth.

    Attributes:
        overlaps: of each foreground class, by its code.
        reliability: of the mean probabilities, over all labelled pixels.
        brier: of them too.
        auroc: of each doubt, see `error_auroc`.
        distance, diversity: see `energy_distance` and `diversity`; NaN where nothing was drawn.
        compared: as of `Answer`, Dice of each foreground class.
        seconds: it took.
    """

    overlaps: dict[int, Overlap]
    reliability: Reliability
    brier: float
    auroc: dict[str, float]
    distance: float
    diversity: float
    compared: dict[str, dict[str, tuple[float, ...]]]
    seconds: float


def worth(answer: Answer, truth: Labels, codes: Sequence[int], spacing: tuple[float, ...] | None) -> Worth:
    """Score an answer.

    Args:
        truth: (*S) classes, -1 where nothing is scored.
        codes: of all classes, background first.
        spacing: millimetres per axis; None for pixels.
    """
    known, foreground = truth != UNLABELLED, range(1, len(codes))

    def mask(labels: Labels, k: int) -> NDArray[np.bool_]:
        return (labels == k) & known

    def dices(labels: Labels) -> tuple[float, ...]:
        return tuple(dice(mask(truth, k), mask(labels, k)) for k in foreground)

    right, squared = _calibration(answer.mean, truth)
    drawn = np.stack(answer.samples) if answer.samples else None
    return Worth(
        {codes[k]: overlap(mask(truth, k), mask(answer.labels, k), spacing) for k in foreground},
        right,
        squared,
        {name: error_auroc(doubt.round(DIGITS), answer.labels, truth) for name, doubt in answer.doubts.items()},
        math.nan if drawn is None else energy_distance(drawn, truth[None], foreground),
        math.nan if drawn is None else diversity(drawn[:, known], foreground),
        {what: {value: dices(labels) for value, labels in ways.items()} for what, ways in answer.compared.items()},
        answer.seconds,
    )


def _calibration(mean: Floats, truth: Labels) -> tuple[Reliability, float]:
    """Reliability and Brier score of (K, *S) probabilities, worked out in parts."""
    step = max(1, PART // prod(truth.shape[1:]))
    parts = [slice(at, at + step) for at in range(0, len(truth), step)]
    each = [
        (reliability(p, truth[part]), brier(p, truth[part]))
        for part in parts
        if (truth[part] != UNLABELLED).any()
        for p in [np.moveaxis(mean[:, part], 0, -1)]
    ]
    both = joined([one for one, _ in each])
    return both, sum(float(one.pixels.sum()) * score for one, score in each) / float(both.pixels.sum())


def joined(every: Sequence[Reliability]) -> Reliability:
    """Of all pixels together."""
    pixels, sure, right = (np.sum([getattr(one, of) for one in every], 0) for of in ("pixels", "sure", "right"))
    return Reliability(pixels, sure, right)


@dataclass(frozen=True)
class Figures:
    """What networks of one method come to.

    Attributes:
        name: of the method.
        root, data: folders of the run and of the images.
        classes: foreground class by its code.
        unit: of distances.
        worths: of every image, by its name.
        calls: how often networks look at each window of an image.
        drawn: how masks are drawn; empty for methods that do not draw.
    """

    name: str
    root: Path
    data: Path
    classes: dict[int, str]
    unit: str
    worths: Mapping[str, Worth]
    calls: int
    drawn: dict[str, Any]

    @property
    def scored(self) -> Scored:
        """Overlaps of every image."""
        cases = {name: one.overlaps for name, one in self.worths.items()}
        return Scored(self.root, self.data, self.classes, cases, self.unit, ())

    def mean(self, figure: str) -> float:
        """The mean over classes of their means over images, of "dice", "iou", "hd95" or "assd"."""
        return self.scored.mean(figure)

    def micro(self, figure: str) -> float:
        """Of "dice" or "iou" where all images are counted as one; the mean over classes."""
        return _mean(
            _micro([case[code] for case in self.scored.cases.values()], figure) for code in self.scored.classes
        )

    @property
    def reliability(self) -> Reliability:
        """Of all labelled pixels of all images."""
        return joined([one.reliability for one in self.worths.values()])

    @property
    def brier(self) -> float:
        """Of all labelled pixels of all images: 0 to 2."""
        weights = [float(one.reliability.pixels.sum()) for one in self.worths.values()]
        return float(np.average([one.brier for one in self.worths.values()], weights=weights))

    @property
    def auroc(self) -> dict[str, float]:
        """Of each doubt: the mean over images that have wrong pixels, and right ones."""
        names = next(iter(self.worths.values())).auroc
        return {name: _mean(one.auroc[name] for one in self.worths.values()) for name in names}

    @property
    def distance(self) -> float:
        """Generalised energy distance: the mean over images."""
        return _mean(one.distance for one in self.worths.values())

    @property
    def diversity(self) -> float:
        """Of samples: the mean over images."""
        return _mean(one.diversity for one in self.worths.values())

    @property
    def seconds(self) -> float:
        """Of an image."""
        return _mean(one.seconds for one in self.worths.values())

    @property
    def compared(self) -> dict[str, dict[str, float]]:
        """What differs -> value -> mean Dice, as `mean("dice")`."""
        first = next(iter(self.worths.values())).compared
        return {
            what: {
                value: _mean(
                    _mean(one.compared[what][value][k] for one in self.worths.values())
                    for k in range(len(self.classes))
                )
                for value in ways
            }
            for what, ways in first.items()
        }

    @property
    def bins(self) -> list[Bin]:
        return self.reliability.rows()

    def to_json(self) -> dict[str, Any]:
        """Everything but curves of single images; what is not there is null."""
        told = self.scored.to_json()
        images = {
            name: {
                "classes": told["cases"][name],
                "ece": one.reliability.ece,
                "auroc": {doubt: _number(value) for doubt, value in one.auroc.items()},
                "energy_distance": _number(one.distance),
                "diversity": _number(one.diversity),
                "seconds": _number(one.seconds),
            }
            for name, one in self.worths.items()
        }
        return {
            "run": str(self.root),
            "mean": told["mean"],
            "micro": {figure: _number(self.micro(figure)) for figure in ("dice", "iou")},
            "classes": told["classes"],
            "ece": self.reliability.ece,
            "brier": self.brier,
            "bins": self.bins,
            "auroc": {name: _number(value) for name, value in self.auroc.items()},
            "calls": self.calls,
            "seconds": _number(self.seconds),
            "drawn": self.drawn or None,
            "energy_distance": _number(self.distance),
            "diversity": _number(self.diversity),
            "dice_by": {w: {v: _number(d) for v, d in ways.items()} for w, ways in self.compared.items()},
            "images": images,
        }


def _micro(every: Sequence[Overlap], figure: str) -> float:
    """Of one class over images as if they were one."""
    size = sum(one.truth + one.predicted for one in every)
    both = sum(one.dice * (one.truth + one.predicted) / 2 for one in every if one.truth + one.predicted)
    if not size:
        return math.nan
    return 2 * both / size if figure == "dice" else both / (size - both)


def _mean(values: Iterable[float]) -> float:
    """Of those that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
