"""`try_detector`: what a detector finds in cases that it never saw, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.detection.finding import Lazy, find
from hyperseg.detection.network import Detector
from hyperseg.metrics.froc import Froc, Marks, Truth, froc
from hyperseg.metrics.precision import mean_average_precision
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.recipes.detection.planning import Plan

Boxes = NDArray[np.float64]
THRESHOLD, MOST = 0.01, 100  # least score of a box that is looked at, and boxes of a case, for scores
SUPPRESS = 0.1  # IoU from which of two boxes only the better is kept
OVERLAPS = (0.1, 0.3, 0.5)  # IoU of a hit for mAP: small boxes hardly ever have more


@dataclass(frozen=True)
class Tried:
    """Held-out cases: what was found in each, in voxels of its file, and what is there; names are keys.

    Attributes:
        found, truth: by case.
        froc: by the rule of LUNA16.
        precision: mean average precision over `OVERLAPS`.
    """

    found: dict[str, Marks]
    truth: dict[str, Truth]
    froc: Froc
    precision: float

    def numbers(self) -> dict[str, Any]:
        """JSON for metrics.json."""
        return {
            "cpm": self.froc.cpm, "false_positives_per_scan": list(self.froc.rates),
            "sensitivities": list(self.froc.sensitivities), "map": self.precision, "map_overlaps": list(OVERLAPS),
            "cases": len(self.truth), "objects": sum(len(one.boxes) for one in self.truth.values()),
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
    net: Detector, plan: Plan, cases: Sequence[tuple[Volume, Boxes]], *, device: str,
    progress: Callable[[int, int], None] | None = None,
) -> Tried:  # fmt: skip
    """Find objects in held-out cases, and score them.

    Args:
        cases: volumes with their boxes, in voxels of the file.
    """
    net = net.to(device).eval()
    found: dict[str, Marks] = {}
    for i, (volume, _) in enumerate(cases):
        found[volume.name] = find_in(net, volume, plan, device=device)
        if progress is not None:
            progress(i + 1, len(cases))
    truth = {volume.name: Truth(boxes) for volume, boxes in cases}
    return scored(found, truth, {volume.name: volume.spacing for volume, _ in cases})


def scored(
    found: Mapping[str, Marks], truth: Mapping[str, Truth], spacings: Mapping[str, Sequence[float]]
) -> Tried:  # fmt: skip
    """Scores of what was found against what is there, case by case."""
    marks, truths = [found[name] for name in truth], list(truth.values())
    curve = froc(marks, truths, spacing=[spacings[name] for name in truth])
    precision = mean_average_precision(marks, truths, overlaps=OVERLAPS)
    return Tried(dict(found), dict(truth), curve, precision)
