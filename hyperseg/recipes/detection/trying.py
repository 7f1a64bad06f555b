"""`try_detector`: what a detector finds in cases that it never saw, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperseg.detection.finding import Lazy, find
from hyperseg.detection.network import Detector
from hyperseg.io.detections.table import Found
from hyperseg.metrics.froc import Froc, Marks, Truth, cpm_interval, froc
from hyperseg.metrics.precision import OVERLAPS, mean_average_precision
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.recipes.detection.planning import Plan
from hyperseg.recipes.detection.scoring import RATE

THRESHOLD, MOST = 0.0, 100  # least score of a box, and boxes of a case, for scores: curves need weak boxes too
SUPPRESS = 0.1  # IoU from which of two boxes only the better is kept


@dataclass(frozen=True)
class Tried:
    """Held-out cases: what was found in each, in voxels of its file, and what is there; names are keys.

    Attributes:
        found, truth: by case.
        froc: by the rule of LUNA16.
        interval: of CPM, for other scans of this kind.
        precision: mean average precision over IoU of 0.1 to 0.5.
    """

    found: dict[str, Marks]
    truth: dict[str, Truth]
    froc: Froc
    interval: tuple[float, float]
    precision: float

    @property
    def threshold(self) -> float:
        """The score from which a box usually counts: the lowest with at most one false positive per scan here.

        Scores are no probabilities: after few steps all of them may be low.
        """
        least = self.froc.curve.threshold(RATE)
        if np.isfinite(least):
            return least
        best = [float(marks.scores.max()) for marks in self.found.values() if len(marks.scores)]
        return max(best, default=0.0)

    def numbers(self) -> dict[str, Any]:
        """JSON for metrics.json."""
        return {
            "cpm": self.froc.cpm, "cpm_interval": list(self.interval),
            "false_positives_per_scan": list(self.froc.rates),
            "sensitivities": list(self.froc.sensitivities), "map": self.precision, "map_overlaps": list(OVERLAPS),
            "cases": self.froc.scans, "objects": self.froc.objects,
            "threshold": self.threshold,
        }  # fmt: skip


def find_in(
    net: Detector, volume: Volume, plan: Plan, *, device: str, threshold: float = THRESHOLD, most: int = MOST,
    done: Callable[[int, int], None] = lambda done, of: None,
) -> Marks:  # fmt: skip
    """Boxes of a volume in voxels of its file, best first.

    Args:
        threshold, most: least score, and most boxes.
        done: told the windows that are done, and all of them.
    """
    lazy = Lazy(volume.size, lambda where: volume.window([w.start for w in where], [w.stop for w in where]))
    found = find(
        [net], lazy, plan.spec, patch=plan.patch, overlap=plan.overlap, threshold=threshold, most=most,
        suppress=SUPPRESS, device=device, done=done,
    )  # fmt: skip
    return Marks(volume.to_file(found.boxes), np.asarray(found.scores, np.float64))


def try_detector(
    net: Detector, plan: Plan, volumes: Sequence[Volume], truth: Sequence[Truth], *, device: str,
    progress: Callable[[int, int], None] | None = None,
) -> Tried:  # fmt: skip
    """Find objects in held-out volumes, and score them against what is there, in voxels of the file."""
    net = net.to(device).eval()
    found: list[Marks] = []
    for volume in volumes:
        found.append(find_in(net, volume, plan, device=device))
        if progress is not None:
            progress(len(found), len(volumes))
    units = [volume.spacing for volume in volumes]
    names = [volume.name for volume in volumes]
    return Tried(
        dict(zip(names, found, strict=True)), dict(zip(names, truth, strict=True)),
        froc(found, truth, spacings=units), cpm_interval(found, truth, seed=0, spacings=units),
        mean_average_precision(found, truth),
    )  # fmt: skip


def found_in(volume: Volume, marks: Marks) -> Found:
    """What was found in a volume, with the place that its file states, for a table of boxes."""
    return Found(
        volume.name, np.asarray(marks.boxes, np.float64), np.asarray(marks.scores, np.float64),
        volume.spacing if volume.stated else (), volume.affine,
    )  # fmt: skip
