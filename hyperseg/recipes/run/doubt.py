"""What a report says of a map whose method answers more than once: how far its answers disagree, and what for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.sections import Figure, Section
from hyperseg.core.words import percent
from hyperseg.metrics.ensembles import error_auroc

KEPT = 0.9  # of the right validation pixels: "I do not know" is said of the others


def doubt_section(map: SegmentationMap, scene: Scene, split: Split) -> Section:
    """The picture of the disagreement, and how a map fares that says "I do not know" where it is large."""
    from hyperseg.report.doubt import disagreement_figure

    disagreement, labels = map.disagreement, map.labels()
    assert disagreement is not None
    assert scene.labels is not None
    right = labels == scene.labels
    wrong = ~right[split.test]
    found = error_auroc(disagreement[split.test], labels[split.test], scene.labels[split.test])
    numbers: dict[str, Any] = {}
    said = ["Disagreement is the mutual information of class and answer over its largest: 0 where all answers agree."]
    if not np.isnan(found):
        said.append(
            f"A wrong test pixel has a larger one than a right test pixel in {percent(100 * found)} of all pairs (50 % "
            "would say nothing)."
        )
    threshold = kept_threshold(disagreement[split.val & right])
    unknown = None if threshold is None else disagreement > threshold
    if threshold is None or unknown is None:
        said.append('No validation pixel is right, so no threshold is chosen for "I do not know".')
    else:
        known = ~unknown[split.test]
        numbers |= {"threshold": threshold, "unknown": 100 * float((~known).mean())}
        said.append(
            f'Above {threshold:.2g} it would say "I do not know": that keeps {percent(100 * KEPT)} of the right '
            f"validation pixels, and leaves {percent(numbers['unknown'])} of the test pixels open."
        )
        if known.any():
            numbers["OA_known"] = 100 * float((~wrong[known]).mean())
            every = percent(100 * float((~wrong).mean()))
            said.append(f"Of the others {percent(numbers['OA_known'])} are right, of all {every}.")
    figure = Figure(
        disagreement_figure(disagreement, unknown, valid=scene.valid), "In disagreement.tif, pixel by pixel."
    )
    return Section("How far the answers disagree", tuple(said), figures=(figure,), numbers={"disagreement": numbers})


def kept_threshold(values: NDArray[np.float32]) -> float | None:
    """The smallest of the values that at least `KEPT` of them do not exceed; None without any."""
    return float(np.quantile(values, KEPT, method="inverted_cdf")) if values.size else None
